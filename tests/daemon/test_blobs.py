"""Stored bytes are what their digest says."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from kernelext.daemon.blobs import BlobStore
from kernelext.daemon.statedir import StateDir
from kernelext.errors import DaemonError
from kernelext.models import Chunk


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(StateDir(tmp_path))


def test_what_is_put_is_there_and_read_only(blobs: BlobStore) -> None:
    digest = digest_of(b"data")
    assert blobs.missing([digest, digest]) == [digest]
    blobs.put(digest, b"data")
    blobs.put(digest, b"data")
    assert blobs.missing([digest]) == []
    assert blobs.path(digest).stat().st_mode & 0o222 == 0


def test_flipped_bit_is_refused(blobs: BlobStore) -> None:
    with pytest.raises(DaemonError, match="damaged"):
        blobs.put(digest_of(b"data"), b"dat\xe1")
    assert blobs.missing([digest_of(b"data")])


def test_blob_that_a_power_cut_left_empty_is_missing(blobs: BlobStore) -> None:
    digest = digest_of(b"data")
    blobs.put(digest, b"data")
    blobs.path(digest).chmod(0o644)
    blobs.path(digest).write_bytes(b"")
    assert blobs.missing([digest]) == [digest]
    blobs.put(digest, b"data")
    assert blobs.path(digest).read_bytes() == b"data"
    blobs.put(digest_of(b""), b"")
    assert blobs.missing([digest_of(b"")]) == []


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "AB" * 32, "ab" * 31])
def test_what_is_no_digest_is_refused(blobs: BlobStore, name: str) -> None:
    with pytest.raises(DaemonError):
        blobs.put(name, b"")


def test_chunks_are_joined_in_order(blobs: BlobStore, tmp_path: Path) -> None:
    parts = [b"one", b"two", b"three"]
    chunks = [Chunk(digest_of(part), len(part)) for part in parts]
    for chunk, part in zip(chunks, parts, strict=True):
        blobs.put(chunk.digest, part)
    blobs.join(chunks, tmp_path / "joined")
    assert (tmp_path / "joined").read_bytes() == b"onetwothree"
    blobs.join([], tmp_path / "empty")
    assert (tmp_path / "empty").read_bytes() == b""

"""A container's work directory, filled."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from kernelext.daemon.blobs import BlobStore
from kernelext.daemon.statedir import StateDir
from kernelext.daemon.workdir import make_work, place_project
from kernelext.errors import DaemonError
from kernelext.models import Chunk, FileEntry, to_json


def store(blobs: BlobStore, data: bytes) -> Chunk:
    chunk = Chunk(hashlib.sha256(data).hexdigest(), len(data))
    blobs.put(chunk.digest, data)
    return chunk


def place(tmp_path: Path, path: str, *, link: str | None = None, uid: int | None = None) -> Path:
    blobs = BlobStore(StateDir(tmp_path / "state"))
    chunks = () if link else (store(blobs, b"data"),)
    entry = FileEntry(path, 0o644 if uid else 0o755, chunks, link)
    manifest = store(blobs, json.dumps(to_json([entry])).encode())
    work = tmp_path / "work"
    os.close(make_work(work, uid))
    place_project(work, manifest, blobs, uid)
    return work / "project"


def test_files_are_copied_with_their_mode(tmp_path: Path) -> None:
    work = place(tmp_path, "a/b/run.sh")
    placed = work / "a" / "b" / "run.sh"
    assert placed.read_bytes() == b"data"
    assert placed.stat().st_mode & 0o777 == 0o711


@pytest.mark.parametrize("path", ["../out", "/etc/out", "a/../../out", ""])
def test_paths_that_leave_the_project_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(DaemonError, match="leaves the project"):
        place(tmp_path, path)


def test_input_cannot_be_written(tmp_path: Path) -> None:
    placed = place(tmp_path, "data/input/deep/run.sh") / "data" / "input" / "deep" / "run.sh"
    assert placed.read_bytes() == b"data"
    assert placed.stat().st_mode & 0o777 == 0o555
    assert placed.stat().st_nlink == 1


def test_input_of_another_user_is_the_blob_itself(tmp_path: Path) -> None:
    root = place(tmp_path, "data/input/deep/a.csv", uid=12345)
    placed = root / "data" / "input" / "deep" / "a.csv"
    found = placed.stat()
    assert (found.st_uid, found.st_mode & 0o777, found.st_nlink) == (os.geteuid(), 0o444, 2)
    assert placed.parent.stat().st_uid == os.geteuid()
    assert (root / "data").stat().st_uid == 12345


def test_links_are_placed_if_they_stay(tmp_path: Path) -> None:
    root = place(tmp_path, "runs/latest", link="../src/one")
    assert (root / "runs" / "latest").readlink() == Path("../src/one")


@pytest.mark.parametrize("link", ["../..", "/etc", "../../x/../.."])
def test_links_that_leave_the_project_are_refused(tmp_path: Path, link: str) -> None:
    with pytest.raises(DaemonError, match="leaves the project"):
        place(tmp_path, "a/link", link=link)

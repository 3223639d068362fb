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


def place(tmp_path: Path, path: str) -> Path:
    blobs = BlobStore(StateDir(tmp_path / "state"))
    entry = FileEntry(path, 0o755, (store(blobs, b"data"),))
    manifest = store(blobs, json.dumps(to_json([entry])).encode())
    work = tmp_path / "work"
    os.close(make_work(work, None))
    place_project(work, manifest, blobs, None)
    return work


def test_files_are_copied_with_their_mode(tmp_path: Path) -> None:
    work = place(tmp_path, "a/b/run.sh")
    placed = work / "project" / "a" / "b" / "run.sh"
    assert placed.read_bytes() == b"data"
    assert placed.stat().st_mode & 0o777 == 0o711


@pytest.mark.parametrize("path", ["../out", "/etc/out", "a/../../out", ""])
def test_paths_that_leave_the_project_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(DaemonError, match="leaves the project"):
        place(tmp_path, path)

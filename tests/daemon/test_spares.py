"""The copy that waits for the next run of the same project."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from pathlib import Path

import pytest

from kernelext.daemon.blobs import BlobStore
from kernelext.daemon.spares import MIN_FILES, Spares
from kernelext.daemon.statedir import StateDir
from kernelext.daemon.workdir import make_work
from kernelext.models import Chunk, FileEntry, to_json


def store(blobs: BlobStore, data: bytes) -> Chunk:
    chunk = Chunk(hashlib.sha256(data).hexdigest(), len(data))
    blobs.put(chunk.digest, data)
    return chunk


def project(blobs: BlobStore, text: str, count: int = MIN_FILES) -> Chunk:
    chunk = store(blobs, text.encode())
    entries = [FileEntry(f"data/output/{n}", 0o644, (chunk,)) for n in range(count)]
    return store(blobs, json.dumps(to_json(entries)).encode())


def waiting(state: StateDir) -> list[str]:
    return [path.name for path in state.spares.iterdir()]


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    return StateDir(tmp_path / "state")


def place(spares: Spares, work: Path, manifest: Chunk) -> str:
    os.close(make_work(work, None))
    placed = spares.place(work, manifest)
    path = work / "project" / "data" / "output" / "0"
    assert placed.stamps["data/output/0"][3] == path.stat().st_ino
    return path.read_text()


def test_spare_copy_is_used_once_and_by_its_project_alone(tmp_path: Path, state: StateDir) -> None:
    blobs = BlobStore(state)
    one, two = project(blobs, "one"), project(blobs, "two")
    spares = Spares(state, blobs, None)
    spares.prepare(one)
    spares.prepare(one)
    assert len(waiting(state)) == 1
    assert place(spares, tmp_path / "a", two) == "two"
    assert len(waiting(state)) == 1
    assert place(spares, tmp_path / "b", one) == "one"
    assert waiting(state) == []
    (tmp_path / "b" / "project" / "data" / "output" / "0").write_text("changed by the cell")
    assert place(spares, tmp_path / "c", one) == "one"


def test_another_project_takes_the_place(tmp_path: Path, state: StateDir) -> None:
    blobs = BlobStore(state)
    spares = Spares(state, blobs, None)
    spares.prepare(project(blobs, "one"))
    spares.prepare(project(blobs, "two"))
    assert len(waiting(state)) == 1
    assert place(spares, tmp_path / "a", project(blobs, "two")) == "two"
    assert waiting(state) == []


def test_small_project_and_one_that_cannot_be_placed_have_none(state: StateDir) -> None:
    blobs = BlobStore(state)
    spares = Spares(state, blobs, None)
    spares.prepare(project(blobs, "one", MIN_FILES - 1))
    spares.prepare(Chunk("0" * 64, 1))
    assert waiting(state) == []


def test_old_spare_copy_goes_whole(tmp_path: Path, state: StateDir) -> None:
    blobs = BlobStore(state)
    one = project(blobs, "one")
    spares = Spares(state, blobs, None)
    assert spares.drop(time.time() + 1, dry_run=False) is None
    spares.prepare(one)
    assert spares.drop(time.time() - 60, dry_run=False) is None
    assert spares.drop(time.time() + 1, dry_run=True) == 3 * MIN_FILES
    assert len(waiting(state)) == 1
    assert spares.drop(time.time() + 1, dry_run=False) == 3 * MIN_FILES
    assert waiting(state) == []
    assert place(spares, tmp_path / "a", one) == "one"


def test_new_daemon_clears_spare_copies(tmp_path: Path, state: StateDir) -> None:
    blobs = BlobStore(state)
    one = project(blobs, "one")
    Spares(state, blobs, None).prepare(one)
    spares = Spares(state, blobs, None)
    assert waiting(state) == []
    assert place(spares, tmp_path / "a", one) == "one"


def test_spare_copy_that_is_gone_is_made_anew(tmp_path: Path, state: StateDir) -> None:
    blobs = BlobStore(state)
    one = project(blobs, "one")
    spares = Spares(state, blobs, None)
    spares.prepare(one)
    for path in state.spares.iterdir():
        shutil.rmtree(path)
    assert place(spares, tmp_path / "a", one) == "one"

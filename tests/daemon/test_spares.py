"""The copy that waits for the next run of the same project."""

from __future__ import annotations

import hashlib
import json
import os
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
    return [path.name for path in state.incoming.iterdir()]


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

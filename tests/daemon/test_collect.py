"""What the daemon removes, and what it leaves whatever the age."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from kernelext.daemon.adopted import ProcessRecords
from kernelext.daemon.attempts import Attempt, Attempts
from kernelext.daemon.blobs import BlobStore
from kernelext.daemon.collect import Collector
from kernelext.daemon.imaging import Imaging
from kernelext.daemon.process_engine import ProcessEngine
from kernelext.daemon.pulse import Pulse
from kernelext.daemon.spares import MIN_FILES, Spares
from kernelext.daemon.statedir import StateDir
from kernelext.models import AttemptEnd, AttemptId, RunSpec, RunState, Task

from .test_spares import project


class Place:
    """A state directory with its rooms, and no daemon."""

    def __init__(self, root: Path) -> None:
        self.state = StateDir(root / "state")
        self.attempts = Attempts(self.state, root / "secrets", Pulse())
        self.blobs = BlobStore(self.state)
        self.needed: list[str] = []
        records = ProcessRecords(root / "processes")
        engine = ProcessEngine(code_dir=root, poke_dir=root, records=records)
        self.spares = Spares(self.state, self.blobs, None)
        imaging = Imaging(self.state, self.blobs, engine)
        self._collector = Collector(
            self.state, self.attempts, engine, self.spares, imaging, lambda _: self.needed
        )

    def ended(self, run: str, owner: str = "me", state: RunState = RunState.DONE) -> Attempt:
        """Make an attempt that has ended."""
        self.attempts.add(RunSpec(run, owner, "title", "", "Cell"), Task("0", 1), {})
        attempt = self.attempts.get(AttemptId(run, "0", 1))
        end = AttemptEnd(state) if state.is_final else None
        self.attempts.change(attempt, state=state, end=end)
        return attempt

    def blob(self, data: bytes) -> str:
        """Store a blob that was last used long ago."""
        digest = hashlib.sha256(data).hexdigest()
        self.blobs.put(digest, data)
        os.utime(self.blobs.path(digest), (0, 0))
        return digest

    def collect(self, older_than_s: float = 0.0, *, dry_run: bool = False) -> list[str]:
        """What was removed."""
        removed = self._collector.collect("me", older_than_s, dry_run=dry_run)
        return [f"{each.count} {each.kind} {each.name}".strip() for each in removed]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_ends_of_this_owner_go_when_nobody_listens(place: Place) -> None:
    place.ended("old")
    place.ended("foreign", owner="somebody")
    place.ended("living", state=RunState.QUEUED)
    place.ended("heard").listeners.add(1)
    assert place.collect(3600) == []
    assert place.collect(dry_run=True) == ["1 results old/0/1 (title)"]
    assert place.collect() == ["1 results old/0/1 (title)"]
    assert {attempt.id.run for attempt in place.attempts} == {"foreign", "living", "heard"}
    assert place.collect() == []


def test_blobs_of_a_living_run_stay(place: Place) -> None:
    kept, gone = place.blob(b"kept"), place.blob(b"gone")
    place.ended("living", state=RunState.RUNNING)
    place.needed = [kept]
    assert place.collect() == ["1 blobs"]
    assert place.blobs.missing([kept, gone]) == [gone]


def test_blob_that_was_asked_for_stays(place: Place) -> None:
    digest = place.blob(b"a submission is about to use it")
    assert place.blobs.missing([digest]) == []
    assert place.collect() == []


def test_spare_copy_goes_whole_and_only_when_it_is_old(place: Place) -> None:
    manifest = project(place.blobs, "one")
    place.spares.prepare(manifest)
    files = [path for path in place.state.spares.rglob("*") if path.is_file()]
    assert len(files) == MIN_FILES
    for path in files:  # as those of the project are
        os.utime(path, (0, 0))
    assert place.collect(300) == []
    assert all(path.exists() for path in files)
    assert place.collect(dry_run=True) == ["1 spare copy of a project"]
    assert place.collect() == ["1 spare copy of a project"]
    assert not list(place.state.spares.iterdir())


def test_leftovers_go(place: Place) -> None:
    (place.state.work / "kernelext-0123").mkdir()
    (place.state.work / "kernelext-0123" / "file").write_bytes(b"x" * 10)
    partial = place.state.incoming / "partial"
    partial.write_bytes(b"half")
    os.utime(partial, (0, 0))
    removed = place.collect()
    assert removed == ["1 work directory kernelext-0123", "1 partial blobs"]
    assert not list(place.state.work.iterdir())
    assert not list(place.state.incoming.iterdir())


def test_pieces_of_images_go_when_they_are_old(place: Place) -> None:
    place.state.pieces.mkdir()
    for name in ("old", "new"):
        (place.state.pieces / name).write_bytes(b"piece")
    os.utime(place.state.pieces / "old", (0, 0))
    assert place.collect(dry_run=True) == ["1 pieces of images"]
    assert place.collect() == ["1 pieces of images"]
    assert [path.name for path in place.state.pieces.iterdir()] == ["new"]

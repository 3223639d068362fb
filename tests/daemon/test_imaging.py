"""Jobs on images: one for all who ask, and no end that nobody waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kernelext.daemon import imaging as module
from kernelext.daemon.adopted import ProcessRecords
from kernelext.daemon.blobs import BlobStore
from kernelext.daemon.engine import Say
from kernelext.daemon.imaging import Imaging, Job
from kernelext.daemon.process_engine import ProcessEngine
from kernelext.daemon.statedir import StateDir
from kernelext.errors import EngineError
from kernelext.recipe import Package, Recipe

from ..contract.conftest import wait_until

RECIPE = Recipe("base:1", "sha256:0")
OTHER = Recipe("base:1", "sha256:1")


@pytest.fixture
def imaging(tmp_path: Path) -> Imaging:
    """Of a host without images: every job ends with an error."""
    state = StateDir(tmp_path)
    records = ProcessRecords(tmp_path / "processes")
    engine = ProcessEngine(code_dir=tmp_path, poke_dir=tmp_path, records=records)
    return Imaging(state, BlobStore(state), engine)


def ended(imaging: Imaging) -> Job:
    """A job that has ended, and whose end nobody has been told."""
    job = imaging.build(RECIPE)
    wait_until(lambda: job.is_over, "the job to end")
    return job


def test_end_is_told_once(imaging: Imaging) -> None:
    job = ended(imaging)
    assert imaging.build(RECIPE) is job
    assert isinstance(job.error, EngineError)
    assert ended(imaging) is not job


def test_end_that_nobody_waited_for_is_forgotten(
    imaging: Imaging, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ended(imaging)
    monkeypatch.setattr(module, "PATIENCE_S", -1.0)
    assert imaging.build(RECIPE) is not job


def test_nothing_is_left_of_a_job(imaging: Imaging, tmp_path: Path) -> None:
    ended(imaging)
    assert not imaging.is_busy
    assert imaging.containers() == []


class WaitingEngine(ProcessEngine):
    """One whose builds last until the container is removed that they run."""

    def __init__(self, folder: Path) -> None:
        records = ProcessRecords(folder / "processes")
        super().__init__(code_dir=folder, poke_dir=folder, records=records)
        self.begun = threading.Event()
        self.removed = threading.Event()

    def build_image(
        self, recipe: Recipe, folder: Path, fetch: Callable[[Package, Path], None], say: Say
    ) -> str:
        """Run a container."""
        say({"container": "c"})
        self.begun.set()
        assert self.removed.wait(10)
        raise EngineError("it was killed")

    def remove(self, name: str) -> None:
        """End it."""
        assert name == "c"
        self.removed.set()


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[WaitingEngine]:
    """An engine whose builds do not outlive the test."""
    engine = WaitingEngine(tmp_path)
    yield engine
    engine.removed.set()


def test_build_that_is_stopped_makes_room(waiting: WaitingEngine, tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    imaging = Imaging(state, BlobStore(state), waiting)
    first = imaging.build(RECIPE)
    assert waiting.begun.wait(10)
    second = imaging.build(OTHER)
    imaging.stop(OTHER.digest)
    imaging.stop(RECIPE.digest)
    wait_until(lambda: first.is_over and second.is_over, "both to end")
    assert "killed" in str(first.error)
    assert "before its turn" in str(second.error)
    assert imaging.build(RECIPE) is not first


def test_build_that_nobody_waits_for_makes_room(
    waiting: WaitingEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = StateDir(tmp_path)
    imaging = Imaging(state, BlobStore(state), waiting)
    first = imaging.build(RECIPE)
    assert waiting.begun.wait(10)
    imaging.build(OTHER)
    assert not waiting.removed.is_set()
    monkeypatch.setattr(module, "LEFT_S", -1.0)
    imaging.build(OTHER)
    wait_until(lambda: first.is_over, "it to end")


class Exporting(ProcessEngine):
    """An engine with images, which are sent out when they may be."""

    def __init__(self, folder: Path) -> None:
        records = ProcessRecords(folder / "processes")
        super().__init__(code_dir=folder, poke_dir=folder, records=records)
        self.may_go_on = threading.Event()

    def export_image(self, image: str) -> Iterator[bytes]:
        """Yield its name."""
        yield image.encode()
        self.may_go_on.wait()


@pytest.fixture
def exporting(tmp_path: Path) -> Exporting:
    """See there."""
    return Exporting(tmp_path)


@pytest.fixture
def exports(tmp_path: Path, exporting: Exporting) -> Imaging:
    """Of a host with images."""
    state = StateDir(tmp_path)
    return Imaging(state, BlobStore(state), exporting)


def blobs(folder: Path) -> int:
    """How many blobs there are."""
    return sum(path.is_file() for path in (folder / "blobs").rglob("*"))


def test_export_is_there_until_its_last_reader_ends(
    exports: Imaging, exporting: Exporting, tmp_path: Path
) -> None:
    exporting.may_go_on.set()
    for reader in ("one", "two"):
        job = exports.export("image", reader)
        wait_until(lambda job=job: job.is_over, "the export to end")
        exports.export("image", reader)  # is told its end
    exports.end_export("image", "one")
    assert blobs(tmp_path) == 1
    exports.end_export("image", "two")
    assert blobs(tmp_path) == 0


def test_export_whose_reader_was_interrupted_leaves_nothing(
    exports: Imaging, exporting: Exporting, tmp_path: Path
) -> None:
    job = exports.export("image", "one")
    exports.end_export("image", "one")
    exporting.may_go_on.set()
    wait_until(lambda: job.is_over, "the export to end")
    assert job.result
    assert blobs(tmp_path) == 0


def test_export_that_nobody_reads_stays(
    exports: Imaging, exporting: Exporting, tmp_path: Path
) -> None:
    """It was made to be sent on."""
    exporting.may_go_on.set()
    job = exports.export("image")
    wait_until(lambda: job.is_over, "the export to end")
    assert blobs(tmp_path) == 1

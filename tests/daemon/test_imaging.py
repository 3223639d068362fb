"""Jobs on images: one for all who ask, and no end that nobody waited for."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernelext.daemon import imaging as module
from kernelext.daemon.adopted import ProcessRecords
from kernelext.daemon.blobs import BlobStore
from kernelext.daemon.imaging import Imaging, Job
from kernelext.daemon.process_engine import ProcessEngine
from kernelext.daemon.statedir import StateDir
from kernelext.errors import EngineError
from kernelext.recipe import Recipe

from ..contract.conftest import wait_until

RECIPE = Recipe("base:1", "sha256:0")


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

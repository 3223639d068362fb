"""A supervisor is found again, also where the daemon was killed while it started one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernelext.daemon.adopted import ProcessRecords


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process as the engine starts one."""
    code = "import time; print(flush=True); time.sleep(60)"
    argv = [sys.executable, "-c", code, str(tmp_path / "kernelext-abc")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True) as started:
        assert started.stdout is not None
        started.stdout.readline()  # for a moment after its exec it has no command line
        yield started
        started.kill()


def test_process_is_found_by_its_record(tmp_path: Path, process: subprocess.Popen[bytes]) -> None:
    ProcessRecords(tmp_path / "p").add("kernelext-abc", process.pid, None)
    assert ProcessRecords(tmp_path / "p").living_pid("kernelext-abc") == process.pid


def test_process_that_was_about_to_start_is_found_and_ended(
    tmp_path: Path, process: subprocess.Popen[bytes]
) -> None:
    ProcessRecords(tmp_path / "p").add("kernelext-abc", 0, None)
    later = ProcessRecords(tmp_path / "p")
    assert later.names() == ["kernelext-abc"]
    assert later.living_pid("kernelext-abc") == process.pid
    later.end("kernelext-abc", 5)
    assert process.wait(5) < 0
    assert later.names() == []


def test_process_that_never_started_is_forgotten(tmp_path: Path) -> None:
    records = ProcessRecords(tmp_path / "p")
    records.add("kernelext-absent", 0, None)
    assert records.living_pid("kernelext-absent") is None
    records.end("kernelext-absent", 5)
    assert records.names() == []

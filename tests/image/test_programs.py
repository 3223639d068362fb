"""Ctrl-C while a program or a download is at work: all ends at once, and nothing is left."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from kernelext.errors import ImageBuildError
from kernelext.image.locals import requirement_of
from kernelext.image.programs import run_program
from kernelext.image.resolving import resolve
from kernelext.image.wanted import Local, Wanted

from ..contract.interrupts import CtrlC
from .packages import write_package
from .test_resolving import TARGET
from .wheels import Index, make_wheel

AT_ONCE_S = 5.0
FETCHES_A_WHEEL = """
import sys
from pathlib import Path
from kernelext.image.resolving import Pin
from kernelext.image.wheelhouse import Wheelhouse
from kernelext.recipe import Wheel

folder, url, digest = sys.argv[1:]
pin = Pin("one", "1.0", "one.whl", url, digest)
Wheelhouse(Path(folder)).fetch(Wheel, [pin], lambda _: None)
"""
FETCHES_AN_ARCHIVE = """
import os, sys
from pathlib import Path
from kernelext.image.locals import requirement_of
from kernelext.image.target import Target
from kernelext.image.wanted import Local

folder, url, digest = sys.argv[1:]
target = Target("3.11", "x86_64-manylinux_2_36")
requirement_of(Local(url), Path(folder), target, os.environ)
"""
HANGS = """
import os, subprocess, sys, time

def build_wheel(folder, *_):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    with open("pids.new", "w") as file:
        file.write(f"{os.getpid()} {child.pid}")
    os.rename("pids.new", "pids")
    time.sleep(600)
"""


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files are, and nothing else."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def children() -> set[str]:
    """The processes that this one has started and not waited for."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def test_index_that_does_not_answer(index: Index, tmp_path: Path, scratch: Path) -> None:
    make_wheel(index.folder, "one")
    index.is_silent = True
    environ = {**os.environ, **index.environ()}
    before, begun_s = children(), time.monotonic()
    with CtrlC(index.reached.is_set), pytest.raises(KeyboardInterrupt):
        resolve(Wanted("requirements.txt", ("one",)), TARGET, tmp_path, environ)
    assert time.monotonic() - begun_s < AT_ONCE_S
    assert children() == before
    assert list(scratch.iterdir()) == []


def test_interrupt_of_a_cell_whose_image_is_resolved(
    index: Index, tmp_path: Path, scratch: Path
) -> None:
    """Which the thread of a host is told by what it checks."""
    index.is_silent = True
    environ = {**os.environ, **index.environ()}

    def check() -> None:
        if index.reached.is_set():
            raise ImageBuildError("interrupted")

    before = children()
    with pytest.raises(ImageBuildError, match="interrupted"):
        resolve(Wanted("requirements.txt", ("one",)), TARGET, tmp_path, environ, check=check)
    assert children() == before
    assert list(scratch.iterdir()) == []


def test_build_ends_with_what_it_has_started(tmp_path: Path, scratch: Path) -> None:
    folder = write_package(tmp_path / "own")
    (folder / "backend.py").write_text(HANGS)
    alive: list[int] = []

    def has_begun() -> bool:
        if (folder / "pids").exists():
            alive.extend(os.pidfd_open(int(pid)) for pid in (folder / "pids").read_text().split())
        return bool(alive)

    with CtrlC(has_begun), pytest.raises(KeyboardInterrupt):
        requirement_of(Local(str(folder)), tmp_path / "wheels", TARGET, os.environ)
    for process in alive:
        assert select.select([process], [], [], AT_ONCE_S)[0], "a process of the build lives on"
        os.close(process)
    assert list(scratch.iterdir()) == []
    assert not (tmp_path / "wheels").exists()


@pytest.mark.parametrize("program", [FETCHES_A_WHEEL, FETCHES_AN_ARCHIVE])
@pytest.mark.parametrize("is_silent", [True, False])
def test_console_ends_while_something_is_fetched(
    index: Index, tmp_path: Path, scratch: Path, program: str, is_silent: bool
) -> None:
    """Whose threads would be waited for when the interpreter ends."""
    archive = index.folder / "own-1.0.tar.gz"
    archive.write_bytes(bytes(500_000))
    index.is_silent, index.is_stuck = is_silent, not is_silent
    url = f"{index.url}/files/{archive.name}"
    words = [sys.executable, "-c", program, str(tmp_path / "kept"), url, "0" * 64]
    process = subprocess.Popen(
        words, stderr=subprocess.PIPE, env={**os.environ, "TMPDIR": str(scratch)}
    )
    assert (index.reached if is_silent else index.stuck).wait(AT_ONCE_S * 4)
    begun_s = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=AT_ONCE_S)
    assert time.monotonic() - begun_s < AT_ONCE_S
    assert b"KeyboardInterrupt" in said
    assert list(scratch.iterdir()) == []
    assert [path for path in tmp_path.glob("kept/**/*") if path.is_file()] == []


def test_program_that_takes_too_long() -> None:
    before = children()
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    with pytest.raises(subprocess.TimeoutExpired):
        run_program(sleep, os.environ, timeout_s=0.2)
    assert children() == before


def test_program_has_no_terminal_to_ask_at() -> None:
    done = run_program([sys.executable, "-c", "open('/dev/tty')"], os.environ)
    assert done.returncode
    assert "OSError" in done.stderr
    assert run_program(["cat"], os.environ).stdout == ""

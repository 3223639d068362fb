"""Runs programs of this machine (uv, git, apt-get) so that the user can end them at any time."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from kernelext.image.jobs import Check, check_nothing

LOOK_S = 0.1
TIMEOUT_S = 600.0


def run_program(
    words: Sequence[str],
    environ: Mapping[str, str],
    *,
    folder: Path | None = None,
    check: Check = check_nothing,
    timeout_s: float = TIMEOUT_S,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; what it says.

    It gets no terminal to ask at, and nothing that it has started outlives an interrupt.

    Parameters
    ----------
    words : sequence of str
    environ : mapping of str to str
    folder : Path, optional
        Where it runs.
    check : callable
        Asked ten times a second; raises when the user wants it to stop.
    timeout_s : float

    Raises
    ------
    OSError
        It cannot be started.
    subprocess.TimeoutExpired
    """
    check()
    process = subprocess.Popen(
        words,
        cwd=folder,
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,  # a group of its own: a build has children
    )
    deadline_s = time.monotonic() + timeout_s
    try:
        while True:
            try:
                out, err = process.communicate(timeout=LOOK_S)
            except subprocess.TimeoutExpired:
                check()
                if time.monotonic() > deadline_s:
                    raise subprocess.TimeoutExpired(words, timeout_s) from None
            else:
                return subprocess.CompletedProcess(words, process.returncode, out, err)
    except BaseException:  # an interrupt, too
        _end(process)
        raise


def _end(process: subprocess.Popen[str]) -> None:
    """Kill a program and what it has started, and wait until it is gone."""
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.communicate()

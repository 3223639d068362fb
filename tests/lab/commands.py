"""Run the machine's commands; knows nothing of hosts."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO


class LabError(Exception):
    """Something the person running the lab can act on."""


def run(
    *argv: str | Path | int,
    check: bool = True,
    environment: Mapping[str, str] | None = None,
    stdin: IO[bytes] | None = None,
    timeout_s: float = 600,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and return what it printed."""
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            check=False,
            env=environment,
            stdin=stdin or subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout_s,
        )
    except FileNotFoundError as exc:
        hint = "`python3 -m tests.lab packages` names the packages to install"
        raise LabError(f"{words[0]} is not on this machine: {hint}") from exc
    except subprocess.TimeoutExpired as exc:
        raise LabError(f"{shlex.join(words)}: no end after {timeout_s:.0f} s") from exc
    if check and done.returncode:
        text = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise LabError(f"{shlex.join(words)}: exit {done.returncode}: {text}")
    return done


def succeeds(*argv: str | Path | int) -> bool:
    """Say whether a command ends with 0."""
    return run(*argv, check=False).returncode == 0


def say(text: str) -> None:
    """Tell the person at the terminal what goes on."""
    print(text, file=sys.stderr, flush=True)

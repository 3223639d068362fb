"""Processes that outlive the one who started them, safe against reused pids."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from .commands import LabError, run
from .statefiles import read_json, write_json

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Process:
    """A pid together with the kernel's start time, which is unique."""

    pid: int
    start: str

    @classmethod
    def of(cls, pid: int) -> Process:
        """Return the live process that has this pid."""
        start = start_time(pid)
        if start is None:
            raise LabError(f"process {pid} ended at once")
        return cls(pid, start)

    @classmethod
    def load(cls, path: Path) -> Process | None:
        """Return the process recorded in a file, alive or not."""
        fields = read_json(path)
        return cls(**fields) if fields else None

    def save(self, path: Path) -> None:
        """Record the process in a file."""
        write_json(path, asdict(self))

    @property
    def is_alive(self) -> bool:
        """Whether it still runs; a zombie does not."""
        return start_time(self.pid) == self.start

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end, which need not be that of a child."""
        deadline = time.monotonic() + timeout_s
        while self.is_alive:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True

    def kill(self) -> None:
        """Kill it, never one that took over its pid."""
        if self.is_alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            if not self.wait(10):
                raise LabError(f"process {self.pid} survives SIGKILL")


def start_time(pid: int) -> str | None:
    """Return the start time of a live process in clock ticks since boot."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def start_module(name: str, *words: str, environment: dict[str, str] | None = None) -> Process:
    """Run a module of this package that leaves a process behind and prints its pid."""
    path = os.environ.get("PATH", os.defpath)
    settings = {"PATH": path, "LANG": "C.UTF-8", "PYTHONPATH": str(REPOSITORY)}
    argv = [sys.executable, "-m", f"{__package__}.{name}", *words]
    done = run(*argv, environment={**settings, **(environment or {})}, timeout_s=30)
    return Process.of(int(done.stdout.split()[-1]))

"""A host as processes: its first one, and commands inside its namespaces."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import IO

from .commands import LabError, run
from .processes import Process

ENVIRONMENT = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/root",
    "LANG=C.UTF-8",
)


class Guest:
    """The inside of a host, entered without its network."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.record = directory / "first.json"
        self.watcher_record = directory / "watcher.json"

    @property
    def process(self) -> Process | None:
        """The host's PID 1 as last recorded."""
        return Process.load(self.record)

    @property
    def running(self) -> bool:
        """Whether the host's PID 1 lives."""
        process = self.process
        return process is not None and process.is_alive

    def enter(self, *spaces: str) -> list[str]:
        """Return the words before a command that put it into the host's namespaces."""
        process = self.process
        if process is None or not process.is_alive:
            raise LabError(f"{self.name} is not running")
        return ["nsenter", "-t", str(process.pid), *spaces, "--"]

    def command(self, *argv: str) -> list[str]:
        """Return the words that run a command inside, as root."""
        inside = self.enter("-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w")
        return [*inside, "env", "-i", *ENVIRONMENT, *argv]

    def exec(
        self, *argv: str, check: bool = True, stdin: IO[bytes] | None = None, timeout_s: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root."""
        return run(*self.command(*argv), check=check, stdin=stdin, timeout_s=timeout_s)

    def kill(self) -> None:
        """Kill PID 1, and with it every process in the host."""
        if process := self.process:
            process.kill()
        watcher = Process.load(self.watcher_record)
        if watcher and not watcher.wait(2):  # it ends by itself once PID 1 is gone
            watcher.kill()
        self.record.unlink(missing_ok=True)
        self.watcher_record.unlink(missing_ok=True)

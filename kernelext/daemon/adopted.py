"""Processes that outlive the daemon that started them: found again by pid and start time."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path

LOOK_S = 0.02


class ProcessRecords:
    """One small file a supervisor, beside the folders that cells can write to.

    Parameters
    ----------
    directory : Path
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(exist_ok=True, mode=0o700)

    def add(self, name: str, pid: int, cgroup: Path | None) -> None:
        """Keep what is needed to find a process again; a pid of 0 is one about to start."""
        record = {"pid": pid, "started": _started(pid), "cgroup": str(cgroup) if cgroup else ""}
        partial = self._directory / f"{name}.new"
        partial.write_text(json.dumps(record))
        partial.replace(self._directory / f"{name}.json")

    def names(self) -> list[str]:
        """List the processes that are not forgotten, living or not."""
        return [path.stem for path in self._directory.glob("*.json")]

    def living_pid(self, name: str) -> int | None:
        """Return the pid of a process that lives; a number used again is another process."""
        try:
            record = json.loads((self._directory / f"{name}.json").read_text())
            pid = int(record["pid"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if pid == 0:  # the daemon was killed before it could write down what it had started
            return _find(name)
        return pid if record["started"] and _started(pid) == record["started"] else None

    def end(self, name: str, timeout_s: float) -> None:
        """Have a process end, kill it with its group if it does not in time, and forget it."""
        pid = self.living_pid(name)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            deadline_s = time.monotonic() + timeout_s
            while self.living_pid(name) is not None and time.monotonic() < deadline_s:
                time.sleep(LOOK_S)
            if self.living_pid(name) is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
        self._forget(name)

    def _forget(self, name: str) -> None:
        path = self._directory / f"{name}.json"
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            cgroup = json.loads(path.read_text())["cgroup"]
            if cgroup:
                Path(cgroup).rmdir()
        path.unlink(missing_ok=True)


def _find(name: str) -> int | None:
    """Return the process of whose command line a word ends in ``/name``, the first of its group."""
    ending = f"/{name}".encode()
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and os.getsid(int(entry.name)) == int(entry.name):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if any(word.endswith(ending) for word in words):
                    return int(entry.name)
    return None


def _started(pid: int) -> str:
    """Return when a process started, in the kernel's own count; empty when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]

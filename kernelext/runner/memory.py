"""How much memory the attempt held, and whether the kernel killed for it.

Sources: cgroup v1 ``memory.max_usage_in_bytes`` and ``memory.oom_control``; cgroup v2
``memory.peak`` and ``memory.events``; else the processes' own sizes in ``/proc``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

OWN_CGROUPS = ("/sys/fs/cgroup/memory", "/sys/fs/cgroup")
PEAK_FILES = ("memory.max_usage_in_bytes", "memory.peak")
KILL_FILES = ("memory.oom_control", "memory.events")


class CgroupMemory:
    """The counters of one memory cgroup."""

    def __init__(self, directory: str | None) -> None:
        candidates = [directory] if directory else list(OWN_CGROUPS)
        self._directories = [Path(each) for each in candidates]

    def peak_bytes(self) -> int | None:
        """Return the most the cgroup held, page cache included; None where nobody counts."""
        for text in self._read(PEAK_FILES):
            if text.strip().isdigit():
                return int(text)
        return None

    def has_killed(self) -> bool:
        """Whether the kernel has killed a process of the cgroup for its memory."""
        for text in self._read(KILL_FILES):
            for line in text.splitlines():
                word, _, count = line.partition(" ")
                if word == "oom_kill":
                    return count.strip() not in ("", "0")
        return False

    def _read(self, names: Iterable[str]) -> Iterable[str]:
        for directory in self._directories:
            for name in names:
                with contextlib.suppress(OSError):
                    yield (directory / name).read_text()


def held_bytes(pids: Iterable[int]) -> int:
    """Sum the memory that processes hold, shared pages counted once a sharer."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError):
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += next(
                int(line.split()[1]) * 1024
                for line in rollup.splitlines()
                if line.startswith("Pss:")
            )
    return total

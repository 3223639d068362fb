"""One cgroup subtree per host in every hierarchy of the machine (v1 or v2)."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

# Mount options that are no controllers.
MOUNT_FLAGS = ("rw", "ro", "relatime", "xattr", "clone_children")


class Cgroups:
    """The lab's slice of the machine's cgroup hierarchies."""

    def __init__(self, slice_name: str) -> None:
        self.slice = slice_name
        self.v1: dict[Path, str] = {}
        v2: list[Path] = []
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            left, _, right = line.partition(" - ")
            where = Path(left.split()[4])
            kind, _, options = right.split()[:3]
            if kind == "cgroup":
                self.v1[where] = controllers_of(options)
            elif kind == "cgroup2":
                v2.append(where)
        # Beside v1 hierarchies the v2 one has no controllers.
        self.v2 = v2[0] if v2 and not self.v1 else None

    @property
    def mount_options(self) -> str:
        """What `mount -t cgroup -o` wants, one word a v1 hierarchy; empty on v2."""
        return " ".join(self.v1.values())

    @property
    def roots(self) -> list[Path]:
        """The mount points of the hierarchies in use."""
        return list(self.v1) or ([self.v2] if self.v2 else [])

    def create(self, name: str, memory_bytes: int | None, cpus: str | None) -> None:
        """Make a host's subtree with its limits."""
        limits = {
            "memory.limit_in_bytes": memory_bytes,
            "memory.max": memory_bytes,
            "cpuset.cpus": cpus,
        }
        for root in self.roots:
            leaf = root / self.slice / name
            for directory in (leaf.parent, leaf):
                directory.mkdir(exist_ok=True)
                self._inherit(directory)
            for knob, value in limits.items():
                if value and (leaf / knob).exists():
                    (leaf / knob).write_text(str(value))

    def _inherit(self, directory: Path) -> None:
        if self.v2:
            names = (directory.parent / "cgroup.controllers").read_text().split()
            with contextlib.suppress(OSError):
                knob = directory.parent / "cgroup.subtree_control"
                knob.write_text(" ".join("+" + name for name in names))
            return
        for name in ("cpuset.cpus", "cpuset.mems"):  # empty at first, and then nothing may join
            knob = directory / name
            if knob.exists() and not knob.read_text().strip():
                knob.write_text((directory.parent / name).read_text())

    def member_files(self, name: str) -> list[str]:
        """The files into which a process writes 0 to join a host's subtree."""
        return [str(root / self.slice / name / "cgroup.procs") for root in self.roots]

    def remove(self, name: str = "", wait_s: float = 5.0) -> list[str]:
        """Remove a host's subtree, or the whole slice; return what would not go."""
        deadline = time.monotonic() + wait_s
        tops = [root / self.slice / name for root in self.roots]
        while left := [str(top) for top in tops if not remove_tree(top)]:
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
        return left


def controllers_of(options: str) -> str:
    """Reduce a v1 mount's options to those that name the hierarchy."""
    words = [
        word
        for word in options.split(",")
        if word not in MOUNT_FLAGS and not word.startswith("release_agent=")
    ]
    named = [word for word in words if word.startswith("name=")]
    return "none," + named[0] if named else ",".join(words)


def remove_tree(top: Path) -> bool:
    """Remove a cgroup and those below it, whose files cannot be deleted."""
    for directory, _, _ in os.walk(top, topdown=False):
        with contextlib.suppress(OSError):
            Path(directory).rmdir()
    return not top.exists()

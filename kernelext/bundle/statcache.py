"""Remembers digests of files by what `stat` says of them.

An entry holds for as long as path, size, mtime, ctime, inode and mode are the same. A file
that was changed within `RACY_NS` before it was read may change again without a new mtime, so
it is read again the next time (Git's racy-entry rule).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, TypeVar

from kernelext.bundle.tree import Tree
from kernelext.models import FileEntry

RACY_NS = 2_000_000_000  # the coarsest mtime in use, FAT's, is two seconds

Key = tuple[int, ...]
_key: Callable[[os.stat_result], Key] = attrgetter(
    "st_size", "st_mtime_ns", "st_ctime_ns", "st_ino", "st_mode"
)
T = TypeVar("T")


@dataclass
class ProjectCache:
    """What is known of one project.

    Attributes
    ----------
    tree : Tree
    secrets : dict of str to str
        What files hold that looks like a secret, by the digest of their first part.
    """

    tree: Tree
    secrets: dict[str, str] = field(default_factory=dict)
    _known: dict[str, tuple[Key, FileEntry]] = field(default_factory=dict)
    _made: tuple[object, Any] = (None, None)

    def entries(self, found: Iterable[tuple[str, os.stat_result]]) -> list[FileEntry | None]:
        """Return what is known for sure of files, None for each that has to be read."""
        known = self._known
        entries: list[FileEntry | None] = []
        for path, stat in found:
            hit = known.get(path)
            entries.append(hit[1] if hit is not None and hit[0] == _key(stat) else None)
        return entries

    def keep(self, found: os.stat_result, now_ns: int, entry: FileEntry) -> None:
        """Keep what was read of a file, if it cannot have changed unseen.

        Parameters
        ----------
        found : os.stat_result
            Taken before the file was read.
        now_ns : int
            The time, nanoseconds since 1970, before that.
        entry : FileEntry
        """
        if is_racy(found, now_ns):
            self._known.pop(entry.path, None)
        else:
            self._known[entry.path] = _key(found), entry

    def made_of(self, parts: object, make: Callable[[], T]) -> T:
        """Return what `make` gave the last time, if it was of equal parts."""
        if self._made[0] != parts:
            self._made = parts, make()
        made: T = self._made[1]
        return made


@dataclass
class StatCache:
    """The projects that this process has seen."""

    _projects: dict[str, ProjectCache] = field(default_factory=dict)

    def project(self, root: str) -> ProjectCache:
        """Return what is known of a project, nothing at first."""
        if root not in self._projects:
            self._projects[root] = ProjectCache(Tree(root))
        return self._projects[root]


def is_racy(found: os.stat_result, now_ns: int) -> bool:
    """Whether a file may change again without a new mtime."""
    return now_ns - max(found.st_mtime_ns, found.st_ctime_ns) < RACY_NS

"""Remembers digests of files by what `stat` says of them.

An entry holds for as long as path, size, mtime, ctime and inode are the same. A file that
was changed within `RACY_NS` before it was read may change again without a new mtime, so
it is read again the next time (Git's racy-entry rule).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from kernelext.models import Chunk

RACY_NS = 2_000_000_000  # the coarsest mtime in use, FAT's, is two seconds

Key = tuple[str, int, int, int, int]
T = TypeVar("T")


@dataclass
class StatCache:
    """Chunks of files by path and stat, for the life of a process.

    Attributes
    ----------
    secrets : dict of str to str
        What secret a chunk that was read holds, by its digest; most hold none.
    """

    _known: dict[Key, tuple[Chunk, ...]] = field(default_factory=dict)
    _made: dict[str, tuple[object, Any]] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)

    def chunks(
        self,
        path: str,
        found: os.stat_result,
        now_ns: int,
        read: Callable[[], tuple[Chunk, ...]],
    ) -> tuple[Chunk, ...]:
        """Return a file's chunks, by `read` when they are not known for sure.

        Parameters
        ----------
        path : str
        found : os.stat_result
            Taken before the file is read.
        now_ns : int
            The time, nanoseconds since 1970.
        read : callable
        """
        key = (path, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
        if key not in self._known:
            chunks = read()
            if now_ns - max(found.st_mtime_ns, found.st_ctime_ns) < RACY_NS:
                return chunks
            self._known[key] = chunks
        return self._known[key]

    def made_of(self, parts: object, name: str, make: Callable[[], T]) -> T:
        """Return what `make` gave the last time under this name, if it was of equal parts."""
        if name not in self._made or self._made[name][0] != parts:
            self._made[name] = parts, make()
        found: T = self._made[name][1]
        return found

"""What `stat` says of files, kept as plain tuples so that thousands compare at once."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter

Stamp = tuple[int, int, int, int, int]  # size in bytes, mtime, ctime (ns since 1970), inode, mode

RACY_NS = 2_000_000_000  # the coarsest mtime in use, FAT's, is two seconds

stamp_of: Callable[[os.stat_result], Stamp] = attrgetter(
    "st_size", "st_mtime_ns", "st_ctime_ns", "st_ino", "st_mode"
)


@dataclass(frozen=True)
class FolderFiles:
    """The files of one folder that travel.

    Attributes
    ----------
    folder : str
        Relative to the root, POSIX.
    paths : tuple of str
        Relative to the root.
    stamps : list of Stamp
        Of each.
    """

    folder: str
    paths: tuple[str, ...]
    stamps: list[Stamp]

    @cached_property
    def size_bytes(self) -> int:
        """Of all of them."""
        return sum(stamp[0] for stamp in self.stamps)

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Give the bytes of each."""
        return zip(self.paths, (stamp[0] for stamp in self.stamps), strict=True)

    def without(self, paths: set[str]) -> FolderFiles:
        """Return all but some of them."""
        if paths.isdisjoint(self.paths):
            return self
        kept = [each for each in zip(self.paths, self.stamps, strict=True) if each[0] not in paths]
        return FolderFiles(self.folder, tuple(p for p, _ in kept), [s for _, s in kept])


def stamps_of(files: Sequence[str]) -> list[Stamp]:
    """Ask the system about files, links themselves and not what they lead to.

    Raises
    ------
    OSError
        When one is not there.
    """
    return list(map(stamp_of, map(os.lstat, files)))


def is_regular(stamp: Stamp) -> bool:
    """Whether it is a file's, and not that of a folder, a link or a device."""
    return stat.S_ISREG(stamp[4])


def is_racy(stamp: Stamp, now_ns: int) -> bool:
    """Whether something may change again without a new stamp (Git's racy-entry rule)."""
    _, mtime_ns, ctime_ns, _, _ = stamp
    return now_ns - max(mtime_ns, ctime_ns) < RACY_NS

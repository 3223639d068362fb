"""Remembers digests of files by what `stat` says of them.

An entry holds for as long as path, size, mtime, ctime, inode and mode are the same. A file
that was changed within `RACY_NS` before it was read may change again without a new mtime, so
it is read again the next time (Git's racy-entry rule).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from kernelext.bundle.stamps import FolderFiles, Stamp, is_racy
from kernelext.bundle.tree import Tree
from kernelext.models import FileEntry

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
    _known: dict[str, tuple[Stamp, FileEntry]] = field(default_factory=dict)
    _whole: dict[str, tuple[FolderFiles, list[FileEntry]]] = field(default_factory=dict)
    _made: tuple[object, Any] = (None, None)

    def known(self, found: FolderFiles) -> list[FileEntry] | None:
        """Return what is known for sure of all files of a folder, else None."""
        whole = self._whole.get(found.folder)
        if whole and (whole[0] is found or whole[0] == found):
            return whole[1]
        return None

    def entries(
        self, found: FolderFiles, now_ns: int, read: Callable[[str, Stamp], FileEntry | None]
    ) -> list[FileEntry]:
        """Return what is known of a folder's files, and read those that have changed.

        Parameters
        ----------
        found : FolderFiles
            Asked for before a file is read.
        now_ns : int
            The time, nanoseconds since 1970, before that.
        read : callable
            Reads a file; None for one that is gone.
        """
        entries: list[FileEntry] = []
        is_sure = True
        for path, stamp in zip(found.paths, found.stamps, strict=True):
            hit = self._known.get(path)
            if hit is not None and hit[0] == stamp:
                entries.append(hit[1])
                continue
            self._known.pop(path, None)
            entry = read(path, stamp)
            if entry is None or is_racy(stamp, now_ns):
                is_sure = False
            else:
                self._known[path] = stamp, entry
            if entry is not None:
                entries.append(entry)
        if is_sure:
            self._whole[found.folder] = found, entries
        return entries

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

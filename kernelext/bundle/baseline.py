"""The files in the project's output folders as they were when a cell was sent."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kernelext.models import OUTPUT_FOLDERS

Stamp = tuple[int, int, int, int]


@dataclass(frozen=True)
class Baseline:
    """What home had, ignored files too, before it knew what a host would bring.

    Attributes
    ----------
    root : Path
        The project's folder.
    folders : tuple of str
        Those into which changed files come home: POSIX, relative to the root.
    stamps : mapping of str to Stamp
        By path.
    """

    root: Path
    folders: tuple[str, ...]
    stamps: Mapping[str, Stamp]

    def is_untouched(self, path: str, found: os.stat_result) -> bool:
        """Whether a file is what it was then."""
        return self.stamps.get(path) == _stamp(found)


def take_baseline(root: Path, folders: tuple[str, ...] = OUTPUT_FOLDERS) -> Baseline:
    """Look at the output folders; take it before a snapshot, which may be newer but not older."""
    stamps = {
        path: _stamp(found)
        for folder in folders
        for path, found in _walk(f"{root}/{folder}", folder)
    }
    return Baseline(root, folders, stamps)


def _walk(folder: str, path: str) -> Iterator[tuple[str, os.stat_result]]:
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except OSError:  # none yet; one that cannot be read is said when something comes
        return
    for entry in entries:
        below = f"{path}/{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, below)
        elif entry.is_file(follow_symlinks=False):
            yield below, os.stat(entry.path, follow_symlinks=False)  # noqa: PTH116


def _stamp(found: os.stat_result) -> Stamp:
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino

"""Finds what a cell has changed in its project's output folders, when all of it has ended.

The folders belong to the cell, which may have put anything there: no link is followed, and
only regular files are read.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from kernelext.errors import KernelExtError
from kernelext.models import CHUNK_BYTES, PROJECT_DIR, Chunk, FileChanges, FileEntry
from kernelext.wire import MAX_BODY_BYTES

MAX_DEPTH = 64
MAX_FILES = 100_000
MAX_LEFT = 1000  # of what cannot travel; more would tell nobody more
MAX_LIST_BYTES = MAX_BODY_BYTES - 1024 * 1024  # of a list, which travels in one frame
RACY_NS = 50_000_000  # a file changed so soon after it was placed may show the same times
OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

ENTRY_BYTES = 64  # of a file's JSON, without its path
CHUNK_ENTRY_BYTES = 112  # of a chunk's

Stamp = tuple[int, int, int, int]


class ListFull(KernelExtError):
    """A cell has changed more files than its host lists."""


def stamp(found: os.stat_result) -> Stamp:
    """Return what changes with every change of a file."""
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


@dataclass(frozen=True)
class Placed:
    """The files in the output folders as this daemon has placed them; empty if another did.

    Attributes
    ----------
    stamps : mapping of str to Stamp
    ended_ns : int
        When they were in place, nanoseconds since 1970.
    """

    stamps: Mapping[str, Stamp] = field(default_factory=dict)
    ended_ns: int = 0

    def is_untouched(self, path: str, found: os.stat_result) -> bool:
        """Whether a file is surely as it was, without a look into it."""
        is_old = found.st_ctime_ns < self.ended_ns - RACY_NS
        return is_old and self.stamps.get(path) == stamp(found)


def changed_files(
    work: Path, folders: tuple[str, ...], sent: Mapping[str, FileEntry], placed: Placed
) -> FileChanges:
    """List the files below `folders` of the project that are not as they were sent.

    Parameters
    ----------
    work : Path
        The attempt's work directory.
    folders : tuple of str
        POSIX, relative to the project's root.
    sent : mapping of str to FileEntry
        By path.
    placed : Placed
    """
    search = _Search(sent, placed)
    for folder in folders:
        try:
            fd = open_folder(work, f"{PROJECT_DIR}/{folder}")
            search.look_into(fd, folder)
        except FileNotFoundError:
            continue
        except PermissionError as exc:
            search.leave(folder, f"it cannot be read there: {exc.strerror}")
        except OSError:
            search.leave(folder, "it is no folder there")
        except ListFull as exc:
            search.left.append((folder, str(exc)))
            break
    return FileChanges(tuple(search.files), tuple(search.left))


def open_folder(directory: Path, path: str) -> int:
    """Open a folder below a directory without following any link or leaving it."""
    parts = path.split("/")
    if ".." in parts:
        raise OSError(errno.EINVAL, "it leaves the directory")
    fd = os.open(directory, OPEN_FOLDER)
    for part in parts:
        try:
            below = os.open(part, OPEN_FOLDER, dir_fd=fd)
        finally:
            os.close(fd)
        fd = below
    return fd


def read_piece(work: Path, path: str, offset: int, size_bytes: int) -> bytes:
    """Read a part of a file that `changed_files` has listed.

    Raises
    ------
    OSError
        When there is no regular file of that name.
    """
    folder, _, name = path.rpartition("/")
    parent = open_folder(work, f"{PROJECT_DIR}/{folder}".rstrip("/"))
    try:
        fd = os.open(name, OPEN_FILE, dir_fd=parent)
    finally:
        os.close(parent)
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(f"{path} is no regular file")
        file.seek(offset)
        return file.read(size_bytes)


class _Search:
    """Goes through the folders and gathers what it finds."""

    def __init__(self, sent: Mapping[str, FileEntry], placed: Placed) -> None:
        self._sent = sent
        self._placed = placed
        self.files: list[FileEntry] = []
        self.left: list[tuple[str, str]] = []
        self._left_count = 0
        self._list_bytes = 0

    def leave(self, path: str, reason: str) -> None:
        """Note that something cannot travel; the first ones by name."""
        self._left_count += 1
        if self._left_count > MAX_LEFT + 1:
            return
        if self._left_count > MAX_LEFT:
            reason = f"it cannot travel, and nor can more of what follows (over {MAX_LEFT:,})"
        self._count_bytes(len(json.dumps([path, reason])), path)
        self.left.append((path, reason))

    def look_into(self, fd: int, folder: str) -> None:
        """List an open folder and those below it; closes it.

        Raises
        ------
        ListFull
            What is listed by now may travel.
        """
        try:
            for name in sorted(os.listdir(fd)):
                path = f"{folder}/{name}"
                try:
                    self._look_at(fd, name, path)
                except OSError as exc:
                    self.leave(path, f"it cannot be read there: {exc.strerror}")
        finally:
            os.close(fd)

    def _look_at(self, folder: int, name: str, path: str) -> None:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode) and path.count("/") < MAX_DEPTH:
            self.look_into(os.open(name, OPEN_FOLDER, dir_fd=folder), path)
        elif self._is_sent_link(folder, name, path, found):
            return
        elif not stat.S_ISREG(found.st_mode):
            self.leave(path, _oddity(found.st_mode))
        elif not self._placed.is_untouched(path, found):
            entry = _read_entry(folder, name, path)
            before = self._sent.get(path)
            if before is None or before.chunks != entry.chunks:
                self._add(entry)

    def _add(self, entry: FileEntry) -> None:
        if len(self.files) >= MAX_FILES:
            raise _full(f"more than {MAX_FILES:,} files", entry.path)
        size = len(json.dumps(entry.path)) + ENTRY_BYTES + CHUNK_ENTRY_BYTES * len(entry.chunks)
        self._count_bytes(size, entry.path)
        self.files.append(entry)

    def _count_bytes(self, size: int, path: str) -> None:
        self._list_bytes += size
        if self._list_bytes > MAX_LIST_BYTES:
            raise _full("more files than a list of them may hold", path)

    def _is_sent_link(self, folder: int, name: str, path: str, found: os.stat_result) -> bool:
        if not stat.S_ISLNK(found.st_mode) or path not in self._sent:
            return False
        return self._sent[path].link == os.readlink(name, dir_fd=folder)


def _full(what: str, path: str) -> ListFull:
    return ListFull(
        f"the cell changed {what}; those before {path} come home, the rest does not:"
        " write fewer, say one archive"
    )


def _oddity(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "it is a symbolic link; write a file instead"
    if stat.S_ISDIR(mode):
        return f"it lies more than {MAX_DEPTH} folders deep"
    return "it is no regular file"


def _read_entry(folder: int, name: str, path: str) -> FileEntry:
    fd = os.open(name, OPEN_FILE, dir_fd=folder)
    with os.fdopen(fd, "rb") as file:
        chunks = tuple(Chunk(hashlib.sha256(data).hexdigest(), len(data)) for data in _pieces(file))
        return FileEntry(path, os.fstat(fd).st_mode & 0o777, chunks)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while data := file.read(CHUNK_BYTES):
        yield data

"""Puts files that cells have changed into the project at home. Hosts are not trusted with paths."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from kernelext.bundle import Baseline, Snapshot, file_chunks
from kernelext.errors import BundleError
from kernelext.models import Chunk, FileEntry
from kernelext.runs.filenotes import FileNotes

Chunks = tuple[Chunk, ...]


class Homecoming:
    """The files that one run brings home.

    A file is replaced where home has it as it was when the cell was sent; else it is kept
    beside. Of several folds that wrote the same file, the first has its name.

    Parameters
    ----------
    baseline : Baseline
    snapshot : Snapshot or None
        What was sent.
    folds : sequence of str
        In their order; one for a plain cell.
    notes : FileNotes, optional
    """

    def __init__(
        self,
        baseline: Baseline,
        snapshot: Snapshot | None,
        folds: Sequence[str],
        notes: FileNotes | None = None,
    ) -> None:
        self.notes = notes or FileNotes()
        self._baseline = baseline
        self._root = os.path.realpath(baseline.root)
        self._order = {fold: index for index, fold in enumerate(folds)}
        self._snapshot = snapshot
        self._holders: dict[str, tuple[str, Chunks]] = {}
        self._lock = threading.Lock()

    @cached_property
    def _sent(self) -> dict[str, FileEntry]:
        return self._snapshot.below(self._baseline.folders) if self._snapshot else {}

    def objection(self, path: str) -> str | None:
        """Say why a path of a host is not written to."""
        parts = path.split("/")
        folder = next((f for f in self._baseline.folders if path.startswith(f"{f}/")), None)
        separators = {os.sep, os.altsep or os.sep, "\0"}
        if folder is None or any(
            part in ("", ".", "..") or not separators.isdisjoint(part) for part in parts
        ):
            return f"its path is not below {' or '.join(self._baseline.folders)}"
        try:
            os.fsencode(path)
        except UnicodeEncodeError:
            return "its name cannot be written here"
        allowed = self._full(folder)
        real = os.path.realpath(self._full("/".join(parts[:-1])))
        if real != allowed and not real.startswith(allowed + os.sep):
            return f"its folder here leads elsewhere by a symbolic link, to {real}"
        return None

    def chunks_here(self, path: str) -> Chunks:
        """Return the chunks of the file of that name at home; none where there is no file."""
        full = self._full(path)
        with contextlib.suppress(OSError, BundleError):
            found = os.lstat(full)
            if stat.S_ISREG(found.st_mode):
                if path in self._sent and self._baseline.is_untouched(path, found):
                    return self._sent[path].chunks
                return file_chunks(full)
        return ()

    def has(self, entry: FileEntry, here: Chunks, fold: str) -> bool:
        """Whether home has the very file already."""
        if here != entry.chunks or not os.path.isfile(self._full(entry.path)):  # noqa: PTH113
            return False
        with self._lock:
            self._holders.setdefault(entry.path, (fold, entry.chunks))
        return True

    def read_chunk(self, path: str, chunk: Chunk, here: Chunks) -> bytes:
        """Read a chunk that home has, in that file or another; empty where it has not.

        The file may have changed since: the caller checks the digest.
        """
        offset = 0
        for each in here:
            if each.digest == chunk.digest:
                with contextlib.suppress(OSError), Path(self._full(path)).open("rb") as file:
                    file.seek(offset)
                    return file.read(chunk.size_bytes)
            offset += each.size_bytes
        if self._snapshot is not None:
            with contextlib.suppress(BundleError):
                return self._snapshot.read(chunk.digest)
        return b""

    def was_sent(self, chunk: Chunk) -> bool:
        """Whether a file of the project held it."""
        return self._snapshot is not None and self._snapshot.holds(chunk)

    def place(self, entry: FileEntry, staged: Path, fold: str) -> None:
        """Move a file that has come into the project; one that cannot be moved stays there."""
        with self._lock:
            try:
                self._place(entry, staged, fold)
            except OSError as exc:
                self.notes.strand(entry.path, str(staged), str(exc.strerror))

    def _place(self, entry: FileEntry, staged: Path, fold: str) -> None:
        path = entry.path
        if path not in self._holders:
            self._place_first(entry, staged, fold)
            return
        holder, chunks = self._holders[path]
        if chunks == entry.chunks:
            staged.unlink()
            return
        self.notes.differ(path, (holder, fold))
        if self._order[fold] > self._order[holder]:
            self._move(staged, self._fold_name(path, fold), entry.mode)
            return
        self._move(Path(self._full(path)), self._fold_name(path, holder))
        self._move(staged, self._full(path), entry.mode)
        self._holders[path] = fold, entry.chunks

    def _place_first(self, entry: FileEntry, staged: Path, fold: str) -> None:
        target = self._full(entry.path)
        if self._may_replace(entry.path):
            self._move(staged, target, entry.mode)
        elif self.chunks_here(entry.path) == entry.chunks:
            staged.unlink()
        else:
            suffix = "remote" if len(self._order) == 1 else f"fold{fold}"
            beside = _free_name(f"{target}.{suffix}")
            self._move(staged, beside, entry.mode)
            self.notes.keep_beside(entry.path, beside.rpartition(os.sep)[2])
            return
        self._holders[entry.path] = fold, entry.chunks

    def _fold_name(self, path: str, fold: str) -> str:
        """Return where a later fold's file goes; that of an earlier run gives way."""
        name = f"{path}.fold{fold}"
        return self._full(name) if self._may_replace(name) else _free_name(self._full(name))

    def _may_replace(self, path: str) -> bool:
        try:
            found = os.lstat(self._full(path))
        except FileNotFoundError:
            return True
        if not stat.S_ISREG(found.st_mode):
            return False
        if self._baseline.is_untouched(path, found):
            return True
        return path in self._sent and self.chunks_here(path) == self._sent[path].chunks

    def _move(self, source: Path, target: str, mode: int | None = None) -> None:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        if mode is not None:
            _set_mode(source, target, mode)
        try:
            source.replace(target)
        except OSError as exc:
            if exc.errno != errno.EXDEV:
                raise
            folder, _, name = target.rpartition(os.sep)
            partial = Path(folder, f".{name}.{os.getpid()}.part")
            try:
                shutil.copy(source, partial)
                partial.replace(target)
            finally:
                partial.unlink(missing_ok=True)
            source.unlink()

    def _full(self, path: str) -> str:
        return os.path.join(self._root, *path.split("/"))  # noqa: PTH118


def _set_mode(source: Path, target: str, mode: int) -> None:
    """Give the mode of what is replaced; a new file may be executed where the host's may."""
    own = source.stat().st_mode & 0o777
    wanted = own | ((own & 0o444) >> 2 if mode & 0o100 else 0)
    with contextlib.suppress(FileNotFoundError):
        wanted = os.lstat(target).st_mode & 0o777
    if wanted != own:
        source.chmod(wanted)


def _free_name(wanted: str) -> str:
    """Return a name that no file has, so that nothing is lost."""
    name, number = wanted, 1
    while os.path.lexists(name):
        number += 1
        name = f"{wanted}{number}"
    return name

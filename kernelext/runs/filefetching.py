"""Brings the files home that a cell has changed: the parts that home lacks, many in flight."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kernelext.errors import DaemonError
from kernelext.link import HostLink
from kernelext.models import AttemptId, Chunk, FileChanges, FileEntry
from kernelext.runs.homecoming import Homecoming

FILES_NAME = "files"  # in an attempt's directory at home: those that are not whole yet


@dataclass
class Piece:
    """A part of a file: a chunk and its place, or an empty file's nothing.

    Attributes
    ----------
    is_last : bool
        Whether the file is whole with it.
    is_here : bool
        Whether home seems to have it.
    """

    entry: FileEntry
    chunk: Chunk | None
    offset: int
    is_last: bool
    is_here: bool

    @property
    def size_bytes(self) -> int:
        """Its size."""
        return self.chunk.size_bytes if self.chunk else 0


class FileFetch:
    """One attempt's files on their way home.

    Parameters
    ----------
    link : HostLink
    attempt : AttemptId
    homecoming : Homecoming
    folder : Path
        For files that are not whole yet.
    check : callable
        Raises when the user wants it to stop; called between parts.

    Attributes
    ----------
    count : int
        Files that home has not.
    """

    def __init__(
        self,
        link: HostLink,
        attempt: AttemptId,
        homecoming: Homecoming,
        folder: Path,
        check: Callable[[], None],
    ) -> None:
        self._link = link
        self._attempt = attempt
        self._homecoming = homecoming
        self._folder = folder
        self._check = check
        self._pieces: deque[Piece] = deque()
        self._here: dict[str, tuple[Chunk, ...]] = {}
        self.count = 0

    def plan(self, changes: FileChanges) -> int:
        """Look at what home has; how many bytes are to travel."""
        host = self._link.host.name
        for path, reason in changes.left:
            self._homecoming.notes.leave(path, host, reason)
        for entry in changes.files:
            objection = self._homecoming.objection(entry.path)
            if objection:
                self._homecoming.notes.leave(entry.path, host, objection)
                continue
            here = self._homecoming.chunks_here(entry.path)
            if not self._homecoming.has(entry, here, self._attempt.fold):
                self._add(entry, here)
        return sum(piece.size_bytes for piece in self._pieces if not piece.is_here)

    def _add(self, entry: FileEntry, here: tuple[Chunk, ...]) -> None:
        self._here[entry.path] = here
        self.count += 1
        offset = 0
        for number, chunk in enumerate(entry.chunks, start=1):
            is_here = chunk in here or self._homecoming.was_sent(chunk)
            is_last = number == len(entry.chunks)
            self._pieces.append(Piece(entry, chunk, offset, is_last, is_here))
            offset += chunk.size_bytes
        if not entry.chunks:
            self._pieces.append(Piece(entry, None, 0, is_last=True, is_here=True))

    def fetch(self) -> None:
        """Bring them, each into its place as soon as it is whole; called again it goes on.

        Raises
        ------
        LinkLost
        OSError
            When this machine cannot keep them.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        while self._pieces:
            try:
                self._fetch()
            except DaemonError as exc:
                lost = self._pieces[0].entry
                self._homecoming.notes.leave(lost.path, self._link.host.name, str(exc))
                self._forget(lost)
        with contextlib.suppress(OSError):  # what could not be placed stays in it
            self._folder.rmdir()

    def _fetch(self) -> None:
        """Bring what is left, or as much as goes until home turns out to lack a part."""
        asked = [piece for piece in self._pieces if piece.chunk and not piece.is_here]
        coming = self._link.read(
            self._attempt,
            [(each.entry.path, each.offset, each.size_bytes) for each in asked],
        )
        while self._pieces:
            self._check()
            piece = self._pieces[0]
            data = b""
            if piece.chunk is not None:
                data = self._read_here(piece, piece.chunk) if piece.is_here else next(coming)
                if hashlib.sha256(data).hexdigest() != piece.chunk.digest:
                    if not piece.is_here:
                        raise DaemonError("it is damaged there; run the cell again")
                    piece.is_here = False
                    return
            self._write(piece, data)
            self._pieces.popleft()

    def _read_here(self, piece: Piece, chunk: Chunk) -> bytes:
        path = piece.entry.path
        return self._homecoming.read_chunk(path, chunk, self._here[path])

    def _write(self, piece: Piece, data: bytes) -> None:
        name = hashlib.sha256(os.fsencode(piece.entry.path)).hexdigest()[:32]
        staged = self._folder / name
        with staged.open("ab") as out:
            out.truncate(piece.offset)  # a full disk may have left a part of a part
            out.write(data)
        if piece.is_last:
            self._homecoming.place(piece.entry, staged, self._attempt.fold)

    def _forget(self, entry: FileEntry) -> None:
        self._pieces = deque(piece for piece in self._pieces if piece.entry is not entry)

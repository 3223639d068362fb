"""Stored bytes by their SHA-256, checked on receipt and read-only afterwards."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from kernelext.daemon.removal import remove_tree
from kernelext.daemon.statedir import SAFE_DIGEST, StateDir
from kernelext.errors import DaemonError
from kernelext.models import Chunk

PIECE_BYTES = 1024 * 1024
TOUCH_S = 60.0
EMPTY = hashlib.sha256(b"").hexdigest()


class BlobStore:
    """The blobs of one state directory."""

    def __init__(self, state: StateDir) -> None:
        self._state = state
        self._folder = str(state.blobs)
        remove_tree(state.incoming)  # of a daemon that was killed
        state.incoming.mkdir(mode=0o700, exist_ok=True)

    def path(self, digest: str) -> Path:
        """Return where a blob lies or would lie.

        Raises
        ------
        DaemonError
            When `digest` is no SHA-256 in hexadecimal.
        """
        return Path(self._name(digest))

    def _name(self, digest: str) -> str:
        # A string: a project may have thousands of files, and pathlib takes longer than the disk.
        if not SAFE_DIGEST.fullmatch(digest):
            raise DaemonError(f"{digest[:80]!r} is no digest")
        return f"{self._folder}/{digest[:2]}/{digest}"

    def missing(self, digests: Iterable[str]) -> list[str]:
        """Return which of `digests` are not here, each once."""
        now = time.time()
        return [digest for digest in dict.fromkeys(digests) if not self._is_whole(digest, now)]

    def _is_whole(self, digest: str, now: float) -> bool:
        """Whether a blob is here; one that a power cut has left empty is not.

        Its mtime says when it was last asked for, so that one in use is not collected.
        """
        name = self._name(digest)
        try:
            found = os.stat(name)  # noqa: PTH116
            if now - found.st_mtime > TOUCH_S:
                os.utime(name)
        except FileNotFoundError:
            return False
        return found.st_size > 0 or digest == EMPTY

    def put(self, digest: str, data: bytes) -> None:
        """Store bytes.

        Raises
        ------
        DaemonError
            When they are not what `digest` names.
        """
        target = self.path(digest)
        if hashlib.sha256(data).hexdigest() != digest:
            raise DaemonError(f"what arrived is not {digest[:12]}: damaged on the way")
        if self._is_whole(digest, time.time()):
            return
        partial = self._state.incoming / f"{digest}.{secrets.token_hex(4)}"
        fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o400)
        try:
            _write_all(fd, data)
            os.fchmod(fd, 0o444)
        except OSError:
            partial.unlink()  # the disk is full
            raise
        finally:
            os.close(fd)
        try:
            partial.replace(target)
        except FileNotFoundError:  # the first of its folder
            target.parent.mkdir(exist_ok=True)
            partial.replace(target)

    def read(self, chunk: Chunk) -> bytes:
        """Return a blob's bytes."""
        return self.path(chunk.digest).read_bytes()

    def join(self, chunks: Sequence[Chunk], target: Path) -> None:
        """Write the joined chunks to a new file."""
        if len(chunks) == 1:
            shutil.copyfile(self.path(chunks[0].digest), target)
            return
        with target.open("wb") as out:
            for chunk in chunks:
                with self.path(chunk.digest).open("rb") as blob:
                    shutil.copyfileobj(blob, out, 1024 * 1024)

    def link(self, chunk: Chunk, target: str) -> None:
        """Give a blob another name, for whoever can only read it."""
        os.link(self._name(chunk.digest), target)

    def copy(self, chunks: Sequence[Chunk], out: int) -> None:
        """Write the joined chunks to an open file."""
        for chunk in chunks:
            blob = os.open(self._name(chunk.digest), os.O_RDONLY | os.O_CLOEXEC)
            try:
                while True:
                    data = os.read(blob, PIECE_BYTES)
                    if not data:
                        break
                    _write_all(out, data)
            finally:
                os.close(blob)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]

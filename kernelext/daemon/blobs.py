"""Stored bytes by their SHA-256, checked on receipt and read-only afterwards."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from kernelext.daemon.statedir import SAFE_DIGEST, StateDir
from kernelext.errors import DaemonError
from kernelext.models import Chunk

PIECE_BYTES = 1024 * 1024
EMPTY = hashlib.sha256(b"").hexdigest()


class BlobStore:
    """The blobs of one state directory."""

    def __init__(self, state: StateDir) -> None:
        self._state = state
        self._folder = str(state.blobs)
        shutil.rmtree(state.incoming, ignore_errors=True)  # of a daemon that was killed
        state.incoming.mkdir(mode=0o700)

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
        return [digest for digest in dict.fromkeys(digests) if not self._is_whole(digest)]

    def _is_whole(self, digest: str) -> bool:
        """Whether a blob is here; one that a power cut has left empty is not."""
        try:
            size_bytes = os.stat(self._name(digest)).st_size  # noqa: PTH116
        except FileNotFoundError:
            return False
        return size_bytes > 0 or digest == EMPTY

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
        if self._is_whole(digest):
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

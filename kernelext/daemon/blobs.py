"""Stored bytes by their SHA-256, checked on receipt and read-only afterwards."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from kernelext.daemon.statedir import SAFE_DIGEST, StateDir
from kernelext.errors import DaemonError
from kernelext.models import Chunk


class BlobStore:
    """The blobs of one state directory."""

    def __init__(self, state: StateDir) -> None:
        self._state = state
        shutil.rmtree(state.incoming, ignore_errors=True)  # of a daemon that was killed
        state.incoming.mkdir()

    def path(self, digest: str) -> Path:
        """Return where a blob lies or would lie.

        Raises
        ------
        DaemonError
            When `digest` is no SHA-256 in hexadecimal.
        """
        if not SAFE_DIGEST.fullmatch(digest):
            raise DaemonError(f"{digest[:80]!r} is no digest")
        return self._state.blobs / digest[:2] / digest

    def missing(self, digests: Iterable[str]) -> list[str]:
        """Return which of `digests` are not here, each once."""
        return [d for d in dict.fromkeys(digests) if not self.path(d).exists()]

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
        if target.exists():
            return
        partial = self._state.incoming / f"{digest}.{secrets.token_hex(4)}"
        partial.write_bytes(data)
        partial.chmod(0o444)
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

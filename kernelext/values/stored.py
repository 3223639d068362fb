"""The stored bytes of a value: cut into chunks, named by their digests, checked again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Union

from kernelext.errors import ValueCodecError
from kernelext.models import CHUNK_BYTES, Chunk, ValueRef

Buffer = Union[bytes, memoryview]
Pieces = tuple[tuple[Chunk, ...], tuple[Buffer, ...]]
THREADED_BYTES = 4 * 1024 * 1024  # below this, starting threads costs more than hashing


class Digester:
    """SHA-256 of the chunks of buffers; of one buffer only once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Buffer, list[str]]] = {}

    def know(self, buffer: Buffer, digests: list[str]) -> None:
        """Take the digests of the chunks of a buffer from whoever has hashed them."""
        self._known[id(buffer)] = buffer, digests

    def of(self, buffer: Buffer) -> list[str]:
        """Return the digests of the chunks of a buffer, in hexadecimal."""
        if id(buffer) not in self._known:
            self._known[id(buffer)] = buffer, _digests(chunks_of(buffer))
        return self._known[id(buffer)][1]


def chunks_of(buffer: Buffer) -> list[Buffer]:
    """Cut one buffer, of bytes; an empty one has no chunk."""
    view = memoryview(buffer)
    return [view[start : start + CHUNK_BYTES] for start in range(0, len(view), CHUNK_BYTES)]


def identity_of(kind: str, parts: Iterable[Buffer], digester: Digester | None = None) -> str:
    """Return what names a value: SHA-256, in hexadecimal.

    Parameters
    ----------
    kind : str
        Its header.
    parts : iterable of bytes or memoryview
        Its raw bytes. Their chunks are hashed side by side, so their digests are hashed again.
    digester : Digester, optional
        What is known of the parts.
    """
    digester = digester or Digester()
    whole = hashlib.sha256(kind.encode() + b"\n")
    for part in parts:
        whole.update(f"{len(part)} {' '.join(digester.of(part))}\n".encode())
    return whole.hexdigest()


def cut(buffers: Iterable[Buffer], digester: Digester | None = None) -> Pieces:
    """Cut the concatenation of buffers into chunks.

    Parameters
    ----------
    buffers : iterable of bytes or memoryview
        One-dimensional, of bytes.
    digester : Digester, optional
        What is known of the buffers.

    Returns
    -------
    chunks : tuple of Chunk
        At least one, each of at most `CHUNK_BYTES`. A buffer of more than that begins a chunk.
    parts : tuple of bytes or memoryview
        What each chunk holds. Only a chunk that lies in two buffers is a copy.
    """
    digester = digester or Digester()
    parts: list[Buffer] = []
    digests: list[str] = []
    for group in _groups(buffers):
        joined = _joined(group)
        parts += chunks_of(joined) or [joined]
        digests += digester.of(joined) or _digests([joined])
    chunks = tuple(Chunk(digest, len(part)) for digest, part in zip(digests, parts))
    return chunks, tuple(parts)


def _groups(buffers: Iterable[Buffer]) -> Iterator[list[Buffer]]:
    """Put small buffers together; a large one stays by itself."""
    pending: list[Buffer] = []
    size = 0
    n_yielded = 0
    for buffer in buffers:
        is_large = len(buffer) > CHUNK_BYTES
        if pending and (is_large or size + len(buffer) > CHUNK_BYTES):
            yield pending
            n_yielded += 1
            pending, size = [], 0
        if is_large:
            yield [buffer]
            n_yielded += 1
        elif len(buffer):
            pending.append(buffer)
            size += len(buffer)
    if pending or not n_yielded:
        yield pending


def check(ref: ValueRef, data: Buffer) -> None:
    """Raise unless the joined bytes are those that the manifest names.

    Raises
    ------
    ValueCodecError
        The length or a chunk's digest differs.
    """
    view = memoryview(data)
    if len(view) != ref.stored_bytes:
        raise ValueCodecError(
            f"`{ref.name}` has {len(view)} stored bytes instead of {ref.stored_bytes}: "
            "its file is cut short or damaged; run the cell again."
        )
    parts: list[Buffer] = []
    for chunk in ref.chunks:
        parts.append(view[: chunk.size_bytes])
        view = view[chunk.size_bytes :]
    for number, (digest, chunk) in enumerate(zip(_digests(parts), ref.chunks), 1):
        if digest != chunk.digest:
            raise ValueCodecError(
                f"The stored bytes of `{ref.name}` are damaged (chunk {number} of "
                f"{len(ref.chunks)}); run the cell again."
            )


def _joined(pieces: Sequence[Buffer]) -> Buffer:
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _digests(parts: Sequence[Buffer]) -> list[str]:
    if len(parts) == 1 or sum(map(len, parts)) < THREADED_BYTES:
        return [hashlib.sha256(part).hexdigest() for part in parts]
    with ThreadPoolExecutor(min(len(parts), os.cpu_count() or 1)) as pool:
        return list(pool.map(lambda part: hashlib.sha256(part).hexdigest(), parts))

"""The stored bytes of a value: cut into chunks, named by their digests, checked again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Union

from kernelext.errors import ValueCodecError
from kernelext.models import CHUNK_BYTES, Chunk, ValueRef

Buffer = Union[bytes, memoryview]
Pieces = tuple[tuple[Chunk, ...], tuple[Buffer, ...]]
THREADED_BYTES = 4 * 1024 * 1024  # below this, starting threads costs more than hashing


def identity_of(kind: str, *parts: Buffer) -> str:
    """Return the SHA-256, in hexadecimal, of a kind of value and its bytes."""
    digest = hashlib.sha256(kind.encode() + b"\n")
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def cut(buffers: Iterable[Buffer]) -> Pieces:
    """Cut the concatenation of buffers into chunks.

    Parameters
    ----------
    buffers : iterable of bytes or memoryview
        One-dimensional, of bytes.

    Returns
    -------
    chunks : tuple of Chunk
        At least one, each of at most `CHUNK_BYTES`.
    parts : tuple of bytes or memoryview
        What each chunk holds. Only a chunk that lies in two buffers is a copy.
    """
    parts: list[Buffer] = []
    pending: list[Buffer] = []
    room = CHUNK_BYTES
    for buffer in buffers:
        view = memoryview(buffer)
        while len(view) >= room:
            parts.append(_joined([*pending, view[:room]]))
            view, pending, room = view[room:], [], CHUNK_BYTES
        if len(view):
            pending.append(view)
            room -= len(view)
    if pending or not parts:
        parts.append(_joined(pending))
    pairs = zip(_digests(parts), parts)
    return tuple(Chunk(digest, len(part)) for digest, part in pairs), tuple(parts)


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

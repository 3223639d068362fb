"""A pickle and the arrays that it holds, as one ZIP file.

``value.pickle`` is the pickle (protocol 5), ``0.b2nd``, ``1.raw`` and so on are its buffers in
order: blosc2 frames of bytes, or the bytes themselves. Nothing is compressed twice.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from kernelext.values import arrays, blosc
from kernelext.values.stored import Buffer

if TYPE_CHECKING:
    import pickle

PICKLE = "value.pickle"
DATE = (1980, 1, 1, 0, 0, 0)  # the same bytes for the same value
WORTH_BYTES = 64 * 1024  # a smaller array stays inside the pickle


def is_worth_it(buffer: pickle.PickleBuffer) -> bool:
    """Whether an array travels beside the pickle rather than inside it."""
    return buffer.raw().nbytes >= WORTH_BYTES


def write(
    pickled: Buffer, outside: Sequence[pickle.PickleBuffer], abilities: Collection[str]
) -> tuple[Buffer, ...]:
    """Return the pieces of the file; large buffers are not copied."""
    raws = [buffer.raw() for buffer in outside]
    pays = "blosc2" in abilities and sum(raw.nbytes for raw in raws) > arrays.SMALL_BYTES
    pieces = _Pieces()
    with zipfile.ZipFile(pieces, "w", zipfile.ZIP_STORED) as archive:  # type: ignore[call-overload]
        _add(archive, PICKLE, pickled)
        for number, (buffer, raw) in enumerate(zip(outside, raws)):
            frame = _frame(raw, memoryview(buffer).itemsize) if pays else None
            if frame is None:
                _add(archive, f"{number}.raw", raw)
            else:
                _add(archive, f"{number}.b2nd", frame)
    return tuple(pieces.found)


def read(data: Buffer) -> tuple[Buffer, Iterator[Any]]:
    """Return the pickle and its buffers, writable.

    Raises
    ------
    BadZipFile, ValueError, KeyError
        The bytes are damaged.
    """
    archive = zipfile.ZipFile(io.BytesIO(data))
    return archive.read(PICKLE), _buffers(archive)


def _buffers(archive: zipfile.ZipFile) -> Iterator[Any]:
    for name in archive.namelist():
        if name.endswith(".raw"):
            yield bytearray(archive.read(name))
        elif name.endswith(".b2nd"):
            yield blosc.unpack(archive.read(name))


def _frame(raw: memoryview, itemsize: int) -> bytes | None:
    import numpy as np

    flat = np.frombuffer(raw, "u1")
    size = itemsize if itemsize in (1, 2, 4, 8, 16) and flat.size % itemsize == 0 else 1
    filter_name = blosc.choose_filter(flat, size)
    return None if filter_name is None else blosc.pack(flat, size, filter_name)


def _add(archive: zipfile.ZipFile, name: str, content: Buffer) -> None:
    with archive.open(zipfile.ZipInfo(name, DATE), "w", force_zip64=True) as file:
        file.write(content)


class _Pieces:
    """A file that keeps what is written as it is, instead of copying it."""

    def __init__(self) -> None:
        self.found: list[Buffer] = []

    def write(self, piece: Buffer) -> int:
        self.found.append(piece)
        return len(piece)

    def flush(self) -> None:
        """Be a file."""

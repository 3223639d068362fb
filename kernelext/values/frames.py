"""Dense arrays as blosc2 frames, hashed and compressed in one pass over their memory.

A thread takes a stretch of the raw bytes, hashes it and compresses it while it is still in the
core's cache: the one without the other would wait for memory twice. So a frame's chunks are
stretches of the raw bytes, whatever the array's shape.

A Fortran-ordered array is stored as its transpose, and the frame's metalayer ``kernelext``
holds ``{"order": "F"}``: a reader with blosc2 alone takes ``.T``.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kernelext.models import CHUNK_BYTES
from kernelext.values import blosc

if TYPE_CHECKING:
    from kernelext.values.arrays import Array

BLOCK_BYTES = 1024 * 1024  # smaller ones take as long and give larger frames
PART_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Layout:
    """How an array is cut.

    Attributes
    ----------
    chunk_shape, block_shape : tuple of int
        A chunk is some blocks, and both are stretches of the array in C order.
    chunk_bytes, block_bytes : int
    row_bytes : int
        A chunk never goes on from one row of the axis that is cut to the next: the last one of
        each row is padded.
    """

    chunk_shape: tuple[int, ...]
    block_shape: tuple[int, ...]
    chunk_bytes: int
    block_bytes: int
    row_bytes: int

    def starts(self, size_bytes: int) -> list[int]:
        """Return where the chunks begin."""
        rows = range(0, size_bytes, self.row_bytes)
        return [at for row in rows for at in range(row, row + self.row_bytes, self.chunk_bytes)]

    def end(self, start: int) -> int:
        """Return where a chunk ends in the raw bytes."""
        row_end = (start // self.row_bytes + 1) * self.row_bytes
        return min(start + self.chunk_bytes, row_end)


def layout_of(shape: tuple[int, ...], itemsize: int) -> Layout:
    """Cut along the innermost axis of which a block holds something whole.

    Parameters
    ----------
    shape : tuple of int
        None of them zero.
    itemsize : int
        Bytes of an element.
    """
    axis, below = len(shape) - 1, itemsize
    while axis and below * shape[axis] <= BLOCK_BYTES:
        below *= shape[axis]
        axis -= 1
    n_blocks = math.ceil(shape[axis] / max(1, BLOCK_BYTES // below))
    block = math.ceil(shape[axis] / n_blocks)
    chunk = block * min(n_blocks, max(1, PART_BYTES // (block * below)))
    before, after = (1,) * axis, shape[axis + 1 :]
    return Layout(
        (*before, chunk, *after),
        (*before, block, *after),
        chunk * below,
        block * below,
        shape[axis] * below,
    )


def write(array: Array, order: str, flat: Array, filter_name: str) -> tuple[bytes, list[str]]:
    """Turn an array into a frame.

    Parameters
    ----------
    array : ndarray, at least 1-d, not empty
    order, flat
        What `arrays.raw` gives.
    filter_name : str
        ``SHUFFLE`` or ``BITSHUFFLE``.

    Returns
    -------
    frame : bytes
    digests : list of str
        Those of the chunks of `flat`, as `stored.Digester` gives them.
    """
    import blosc2

    shape = array.shape[::-1] if order == "F" else array.shape
    layout = layout_of(shape, array.itemsize)
    meta = {"meta": {blosc.META: {"order": "F"}}} if order == "F" else {}
    packed = blosc2.empty(
        shape,
        dtype=array.dtype,
        chunks=layout.chunk_shape,
        blocks=layout.block_shape,
        cparams=blosc.parameters(filter_name),
        **meta,
    )
    options = {"typesize": array.itemsize, "blocksize": layout.block_bytes, "nthreads": 1}
    digests: list[str] = []
    n_chunks = 0
    with _without_the_lock(), ThreadPoolExecutor(blosc.n_threads()) as pool:
        work = _Stretches(flat, layout, blosc.parameters(filter_name, **options))
        for digest, chunks in pool.map(work, work.starts):
            digests.append(digest)
            for chunk in chunks:
                packed.schunk.update_chunk(n_chunks, chunk)
                n_chunks += 1
    frame: bytes = packed.to_cframe()
    return frame, digests


class _Stretches:
    """Hashes a stretch of an array's bytes, and compresses the chunks that begin in it."""

    def __init__(self, flat: Array, layout: Layout, cparams: Any) -> None:
        self._flat = flat
        self._layout = layout
        self._cparams = cparams
        self.starts = range(0, flat.size, CHUNK_BYTES)
        self._chunks: dict[int, list[int]] = {start: [] for start in self.starts}
        for start in layout.starts(flat.size):
            self._chunks[start - start % CHUNK_BYTES].append(start)

    def __call__(self, at: int) -> tuple[str, list[bytes]]:
        """Return the digest of the stretch that begins there, and its chunks."""
        stop = min(at + CHUNK_BYTES, self._flat.size)
        hashed, raw = hashlib.sha256(), self._flat.data
        compressed = []
        for start in self._chunks[at]:
            end = self._layout.end(start)
            hashed.update(raw[at : min(end, stop)])
            at = min(end, stop)
            compressed.append(self._compress(start, end))
        hashed.update(raw[at:stop])
        return hashed.hexdigest(), compressed

    def _compress(self, start: int, end: int) -> bytes:
        import blosc2
        import numpy as np

        raw = self._flat[start:end]
        if raw.size < self._layout.chunk_bytes:
            raw = np.zeros(self._layout.chunk_bytes, np.uint8)
            raw[: end - start] = self._flat[start:end]
        chunk: bytes = blosc2.compress2(raw, cparams=self._cparams)
        return chunk


@contextmanager
def _without_the_lock() -> Iterator[None]:
    """Let blosc2 compress without holding the interpreter's lock, which it does not by itself."""
    import blosc2

    before = blosc2.set_releasegil(True)
    try:
        yield
    finally:
        blosc2.set_releasegil(before)

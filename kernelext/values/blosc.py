"""What Blosc2 does for every codec: whether a filter pays, parameters, bytes in and out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from kernelext.models import ValueRef
from kernelext.values import stored

if TYPE_CHECKING:
    from kernelext.values.arrays import Array

SAMPLE_BYTES = 384 * 1024
SAMPLE_PIECES = 3
WORTH_IT = 0.8  # of the raw size; above, compressing takes longer than writing what it saves
META = "kernelext"
FORTRAN = b"\x81\xa5order\xa1F"  # {"order": "F"} in msgpack
WORDS = {1: "u1", 2: "u2", 4: "u4", 8: "u8", 16: "c16"}


def choose_filter(flat: Array, itemsize: int) -> str | None:
    """Compress a sample both ways.

    Parameters
    ----------
    flat : ndarray, shape (nbytes,), uint8
    itemsize : int
        Bytes of an element.

    Returns
    -------
    str or None
        ``SHUFFLE`` or ``BITSHUFFLE``, whichever gave less; None where neither pays.
    """
    import blosc2

    piece = SAMPLE_BYTES // SAMPLE_PIECES // itemsize * itemsize
    n_items = flat.size // itemsize
    step = max(n_items - piece // itemsize, 0) // (SAMPLE_PIECES - 1) * itemsize
    starts = [k * step for k in range(SAMPLE_PIECES)]
    if step < piece:  # pieces that overlap would repeat themselves
        piece, starts = flat.size, [0]
    sample = b"".join(flat[start : start + piece].tobytes() for start in starts)
    sizes = {}
    for name in ("SHUFFLE", "BITSHUFFLE"):
        cparams = parameters(name, typesize=itemsize)
        sizes[name] = len(blosc2.compress2(sample, cparams=cparams))
    best = min(sizes, key=sizes.__getitem__)
    return best if sizes[best] < WORTH_IT * len(sample) else None


def load(ref: ValueRef, data: stored.Buffer) -> Array:
    """Read a frame into a writable array."""
    import blosc2

    stored.check(ref, data)
    packed = blosc2.ndarray_from_cframe(data)
    packed.schunk.dparams = blosc2.DParams(nthreads=n_threads())
    array: Array = packed[...]
    return array.T if _is_fortran(packed.schunk) else array


def _is_fortran(schunk: Any) -> bool:
    """Compare the metalayer's bytes: blosc2's own reader would rebuild objects out of them."""
    import blosc2

    if META not in schunk.meta:
        return False
    return bool(blosc2.blosc2_ext.meta__getitem__(schunk, META) == FORTRAN)


def chunk(rows: Array, filter_name: str) -> bytes:
    """Return rows as a frame of one chunk: what HDF5's Blosc2 filter reads."""
    import blosc2

    cparams = parameters(filter_name, typesize=rows.itemsize)
    made = blosc2.SChunk(chunksize=rows.nbytes, data=rows, cparams=cparams, contiguous=True)
    compressed: bytes = made.to_cframe()
    return compressed


def pack(flat: Array, itemsize: int, filter_name: str) -> bytes:
    """Return bytes as a frame of elements of 1, 2, 4, 8 or 16 bytes."""
    import blosc2

    items = flat.view(WORDS[itemsize])
    compressed: bytes = blosc2.asarray(
        items, cparams=parameters(filter_name), contiguous=True
    ).to_cframe()
    return compressed


def unpack(data: stored.Buffer) -> Array:
    """Return the bytes that `pack` was given, writable."""
    import blosc2

    packed = blosc2.ndarray_from_cframe(data)
    packed.schunk.dparams = blosc2.DParams(nthreads=n_threads())
    array: Array = packed[...]
    return array.view("u1")


def parameters(filter_name: str, **options: Any) -> Any:
    """Return how everything is compressed, by all cores of the slot unless told otherwise."""
    import blosc2

    return blosc2.CParams(
        codec=blosc2.Codec.ZSTD,
        clevel=1,
        filters=[blosc2.Filter[filter_name]],
        **{"nthreads": n_threads(), **options},
    )


def n_threads() -> int:
    """Return the cores that are ours."""
    cores = os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")  # a slot's cores, of a larger machine's
    return min(cores, int(wanted)) if wanted.isdigit() and int(wanted) else cores

"""Dense numpy arrays as blosc2 frames.

A Fortran-ordered array is stored as its transpose, and the frame's metalayer ``kernelext``
holds ``{"order": "F"}``: a reader with blosc2 alone takes ``.T``.
"""

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
        cparams = _cparams(name, typesize=itemsize)
        sizes[name] = len(blosc2.compress2(sample, cparams=cparams))
    best = min(sizes, key=sizes.__getitem__)
    return best if sizes[best] < WORTH_IT * len(sample) else None


def frame(array: Array, order: str, flat: Array, filter_name: str) -> bytes:
    """Return an array, of which `arrays.raw` gave order and bytes, as a blosc2 frame."""
    import blosc2

    options: dict[str, Any] = {"cparams": _cparams(filter_name), "contiguous": True}
    shape = array.shape
    if order == "F":
        shape, options["meta"] = shape[::-1], {META: {"order": "F"}}
    content = flat.view(array.dtype).reshape(shape)
    compressed: bytes = blosc2.asarray(content, **options).to_cframe()
    return compressed


def load(ref: ValueRef, data: stored.Buffer) -> Array:
    """Read a frame into a writable array."""
    import blosc2

    stored.check(ref, data)
    packed = blosc2.ndarray_from_cframe(data)
    packed.schunk.dparams = blosc2.DParams(nthreads=_n_threads())
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

    cparams = _cparams(filter_name, typesize=rows.itemsize)
    made = blosc2.SChunk(chunksize=rows.nbytes, data=rows, cparams=cparams, contiguous=True)
    compressed: bytes = made.to_cframe()
    return compressed


def pack(flat: Array, itemsize: int, filter_name: str) -> bytes:
    """Return bytes as a frame of elements of 1, 2, 4, 8 or 16 bytes."""
    import blosc2

    items = flat.view(WORDS[itemsize])
    compressed: bytes = blosc2.asarray(
        items, cparams=_cparams(filter_name), contiguous=True
    ).to_cframe()
    return compressed


def unpack(data: stored.Buffer) -> Array:
    """Return the bytes that `pack` was given, writable."""
    import blosc2

    packed = blosc2.ndarray_from_cframe(data)
    packed.schunk.dparams = blosc2.DParams(nthreads=_n_threads())
    array: Array = packed[...]
    return array.view("u1")


def _cparams(filter_name: str, **options: Any) -> Any:
    import blosc2

    return blosc2.CParams(
        codec=blosc2.Codec.ZSTD,
        clevel=1,
        filters=[blosc2.Filter[filter_name]],
        nthreads=_n_threads(),
        **options,
    )


def _n_threads() -> int:
    cores = os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")  # a slot's cores, of a larger machine's
    return min(cores, int(wanted)) if wanted.isdigit() and int(wanted) else cores

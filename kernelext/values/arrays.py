"""Dense numpy arrays: which codec, their raw bytes, and the `npy` form."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any

from kernelext.models import ValueRef
from kernelext.values import dtypes, stored

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

BLOSC2_KINDS = "biufc"
BLOSC2_MAX_DIMS = 8
NPY_KINDS = "biufcmMSUV"
LONGEST_NPY_HEADER = 9_000  # np.load refuses headers above 10,000 characters
SMALL_BYTES = 1024 * 1024  # importing blosc2 takes 0.35 s: longer than this takes to travel


def as_array(value: object) -> Array | None:
    """Return a value as a plain array if it is one, or a memory-mapped one; else None."""
    if "numpy" not in sys.modules:  # whoever holds an array has imported it
        return None
    import numpy as np

    if isinstance(value, np.memmap) and type(value) is np.memmap:
        return value.view(np.ndarray)
    return value if isinstance(value, np.ndarray) and type(value) is np.ndarray else None


def is_exact(array: Array) -> bool:
    """Whether the dtype's .npy description gives the same dtype back."""
    import numpy as np

    dtype = array.dtype
    if dtype.kind not in NPY_KINDS or dtype.hasobject or not dtype.itemsize:
        return False
    if not dtypes.is_described(dtype):
        return False
    descr = np.lib.format.dtype_to_descr(dtype)
    if not repr(descr).isascii() or len(repr(descr)) > LONGEST_NPY_HEADER:
        return False
    return bool(np.lib.format.descr_to_dtype(descr) == dtype)


def is_simple(array: Array) -> bool:
    """Whether blosc2 and HDF5 have the array's type: a native number or complex number."""
    dtype = array.dtype
    return dtype.kind in BLOSC2_KINDS and dtype.isnative and dtype.char not in "gG"


def codec_of(array: Array) -> str:
    """Return ``blosc2`` or ``npy``, whichever serves best where both can be read."""
    simple = is_simple(array) and array.ndim <= BLOSC2_MAX_DIMS
    return "blosc2" if simple and array.nbytes > SMALL_BYTES else "npy"


def raw(array: Array) -> tuple[str, Array]:
    """Return an array's order (``C`` or ``F``) and its bytes in that order.

    Returns
    -------
    order : str
        ``F`` only where the array is Fortran-contiguous and not C-contiguous.
    flat : ndarray, shape (nbytes,), uint8
        A view where the array is contiguous, else a copy in C order.
    """
    import numpy as np

    if array.flags.c_contiguous:
        return "C", array.reshape(-1).view(np.uint8)
    if array.flags.f_contiguous:
        return "F", array.T.reshape(-1).view(np.uint8)
    return "C", np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def identity_header(array: Array, order: str) -> str:
    """Return what names an array beside its bytes, which `raw` returns."""
    import numpy as np

    descr = np.lib.format.dtype_to_descr(array.dtype)
    bits = [dtypes.layout()] if dtypes.has_long_doubles(array.dtype) else []
    return json.dumps(["ndarray", descr, array.shape, order, *bits])


def npy_parts(array: Array, order: str, data: memoryview) -> tuple[stored.Buffer, ...]:
    """Return the header and the data of an .npy file."""
    import numpy as np

    header = io.BytesIO()
    fields = {
        "descr": np.lib.format.dtype_to_descr(array.dtype),
        "fortran_order": order == "F",
        "shape": array.shape,
    }
    np.lib.format.write_array_header_1_0(header, fields)
    return header.getvalue(), data


def npy_load(ref: ValueRef, source: stored.Buffer | str) -> Array:
    """Read an .npy file, given as its bytes or its path, into a writable array."""
    import numpy as np

    if isinstance(source, str):
        content = np.fromfile(source, dtype=np.uint8)
    else:
        content = np.frombuffer(source, dtype=np.uint8).copy()
    stored.check(ref, content.data)
    header = io.BytesIO(content[: LONGEST_NPY_HEADER + 1000].tobytes())
    if np.lib.format.read_magic(header) != (1, 0):
        raise ValueError("not version 1.0 of the .npy format")
    shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(header)
    array = content[header.tell() :].view(dtype)
    return array.reshape(shape[::-1]).T if is_fortran else array.reshape(shape)

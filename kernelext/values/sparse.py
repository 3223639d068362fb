"""Sparse matrices and arrays of scipy, as named dense arrays and a header."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from kernelext.values import arrays, dtypes
from kernelext.values.form import NotExact

if TYPE_CHECKING:
    from kernelext.values.arrays import Array

COMPRESSED = ("csr", "csc", "bsr")
FORMATS = (*COMPRESSED, "coo", "dia", "lil", "dok")
REBUILT = ("lil", "dok")  # their numbers are objects, of which arrays are made
KNOWN_ATTRIBUTES = frozenset(
    {
        "_shape", "data", "indices", "indptr", "coords", "row", "col", "offsets", "rows", "dtype",
        "maxprint", "_maxprint", "_dict", "_has_sorted_indices", "_has_canonical_format",
        "has_canonical_format", "_dtype", "_blocksize",
    }
)  # fmt: skip


def is_sparse(value: object) -> bool:
    """Whether a value is one of scipy's own sparse classes."""
    if "scipy.sparse" not in sys.modules:
        return False
    import scipy.sparse

    kind = type(value)
    own = kind.__module__.startswith("scipy.sparse.")
    return own and scipy.sparse.issparse(value) and value.format in FORMATS  # type: ignore[attr-defined]


def take_apart(value: Any) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return the header and the arrays of a sparse value.

    Raises
    ------
    NotExact
        It holds something that these do not say.
    """
    if not vars(value).keys() <= KNOWN_ATTRIBUTES:
        raise NotExact
    has_long_doubles = dtypes.has_long_doubles(value.dtype)
    if has_long_doubles and value.format in REBUILT:  # which leaves their unused bits undefined
        raise NotExact
    found = _arrays(value)
    if not all(arrays.is_exact(array) for array in found.values()):
        raise NotExact
    header: dict[str, Any] = {
        "class": type(value).__name__,
        "format": value.format,
        "shape": [int(n) for n in value.shape],
        "dtype": value.dtype.str,
    }
    if value.format == "bsr":
        header["blocksize"] = list(value.blocksize)
    if value.format == "coo":
        header["canonical"] = bool(value.has_canonical_format)
    if has_long_doubles:
        header["long_doubles"] = dtypes.layout()
    return header, found


def put_together(header: dict[str, Any], found: dict[str, Array]) -> Any:
    """Return the sparse value that `take_apart` was given, in its own class.

    Raises
    ------
    ValueError, KeyError, TypeError
        The arrays do not make such a matrix.
    WrongProcessor
        They hold long doubles of another processor.
    """
    import scipy.sparse

    if "long_doubles" in header:
        dtypes.check(header["long_doubles"])
    cls = getattr(scipy.sparse, header["class"])
    shape, form = tuple(header["shape"]), header["format"]
    if not issubclass(cls, (scipy.sparse.spmatrix, scipy.sparse.sparray)) or form not in FORMATS:
        raise ValueError(f"{header['class']} is no sparse class")
    if form in COMPRESSED:
        return _compressed(cls, shape, header, found)
    if form == "lil":
        return cls(_compressed(_like(cls, "csr"), shape, header, found), dtype=header["dtype"])
    if form == "dia":
        made = cls(shape, dtype=header["dtype"])
        made.data, made.offsets = found["data"], found["offsets"]
        if made.data.ndim != 2 or made.offsets.shape != made.data.shape[:1]:
            raise ValueError("data and offsets do not fit")
        return made
    coords = _coords(shape, found)
    if form == "dok":
        return _dok(cls, shape, header, coords, found["data"])
    made = cls(shape, dtype=header["dtype"])
    made.data, made.coords = found["data"], coords
    made.has_canonical_format = header["canonical"]
    return made


def identity_header(header: dict[str, Any], found: dict[str, Array]) -> str:
    """Return what names a sparse value beside the bytes of its arrays."""
    shapes = {name: [array.dtype.str, array.shape] for name, array in found.items()}
    return json.dumps(["sparse", header, shapes])


def _arrays(value: Any) -> dict[str, Array]:
    if value.format in COMPRESSED:
        found = {name: getattr(value, name) for name in ("data", "indices", "indptr")}
    elif value.format == "dia":
        found = {"data": value.data, "offsets": value.offsets}
    elif value.format == "lil":
        rows = value.tocsr()
        found = {"data": rows.data, "indices": rows.indices, "indptr": rows.indptr}
    elif value.format == "dok":
        found = _dok_arrays(value)
    else:
        names = ("row", "col") if value.ndim == 2 else [f"coord{k}" for k in range(value.ndim)]
        found = {"data": value.data, **dict(zip(names, value.coords))}
    return {name: _plain(array) for name, array in found.items()}


def _plain(array: Any) -> Array:
    import numpy as np

    return np.ascontiguousarray(array) if array.ndim else np.asarray(array)


def _dok_arrays(value: Any) -> dict[str, Array]:
    import numpy as np

    keys = [key if isinstance(key, tuple) else (key,) for key in value._dict]
    columns = np.array(keys, "i8").reshape(len(keys), len(value.shape)).T
    names = ("row", "col") if value.ndim == 2 else [f"coord{k}" for k in range(value.ndim)]
    held = list(value._dict.values())
    if any(getattr(item, "dtype", None) != value.dtype for item in held):
        raise NotExact
    return {"data": np.array(held, value.dtype), **dict(zip(names, columns))}


def _compressed(cls: Any, shape: Any, header: dict[str, Any], found: dict[str, Array]) -> Any:
    options = {"blocksize": tuple(header["blocksize"])} if "blocksize" in header else {}
    made = cls(shape, dtype=header["dtype"], **options)
    # Set, not handed to the constructor: that makes 64-bit indices narrow where they fit.
    made.data, made.indices, made.indptr = (found[n] for n in ("data", "indices", "indptr"))
    made.check_format(full_check=True)  # an index out of bounds would crash the interpreter
    return made


def _like(cls: Any, form: str) -> Any:
    import scipy.sparse

    suffix = "_array" if issubclass(cls, scipy.sparse.sparray) else "_matrix"
    return getattr(scipy.sparse, form + suffix)


def _coords(shape: tuple[int, ...], found: dict[str, Array]) -> tuple[Array, ...]:
    coords = tuple(array for name, array in found.items() if name != "data")
    data = found["data"]
    if len(coords) != len(shape) or any(c.shape != data.shape for c in coords):
        raise ValueError("coordinates and data do not fit")
    for array, size in zip(coords, shape):
        if array.size and not 0 <= array.min() <= array.max() < size:
            raise ValueError("a coordinate is out of bounds")
    return coords


def _dok(cls: Any, shape: Any, header: dict[str, Any], coords: Any, data: Array) -> Any:
    made = cls(shape, dtype=header["dtype"])
    keys = coords[0].tolist() if len(shape) == 1 else zip(*(c.tolist() for c in coords))
    made._dict.update(zip(keys, data))
    return made

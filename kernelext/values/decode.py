"""Bytes into a variable."""

from __future__ import annotations

import functools
import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Union

from kernelext.errors import PickleKept, ValueCodecError
from kernelext.models import ValueRef
from kernelext.values import (
    arrays,
    arrow,
    blosc,
    boosters,
    buffers,
    dtypes,
    hdf5,
    jsontags,
    modules,
    npz,
    pickles,
    reducers,
    sparse,
    stored,
)

Source = Union[bytes, memoryview, str, "os.PathLike[str]"]
Reader = Callable[[ValueRef, Source, "dict[str, Any]"], Any]


# Reading these runs no code that the bytes choose. A codec that is not here counts as a pickle.
CODELESS = frozenset({"json", "blosc2", "npy", "npz", "ubjson", "arrow", "polars"})


def decode(
    ref: ValueRef,
    source: Source,
    namespace: dict[str, Any],
    *,
    loads_pickles: bool = True,
    together: dict[str, Any] | None = None,
) -> Any:
    """Turn stored bytes into the variable they were.

    Parameters
    ----------
    ref : ValueRef
        The manifest.
    source : bytes, memoryview, str or path
        The joined chunks, or the path of one file that holds them.
    namespace : dict
        Becomes the globals of functions that were defined in a notebook.
    loads_pickles : bool
        Whether whoever wrote the bytes may run code here.
    together : dict, optional
        Where variables that share objects are kept until each of them is decoded, by their
        names too: the same for all variables of one run.

    Returns
    -------
    object
        Arrays are writable, and in the order (C or Fortran) that they had.

    Raises
    ------
    PickleKept
        Reading it could run code that its writer chose, who may not.
    ValueCodecError
        An unknown codec, a library that is not here, or damaged bytes.
    ImportError
        The value is a module that cannot be imported here.
    """
    reader = _PICKLES.get(ref.codec) or _READERS.get(ref.codec)
    if reader is None:
        raise ValueCodecError(
            f"`{ref.name}` is stored as `{ref.codec}`, which this version cannot read: "
            "install a newer kernelext."
        )
    if ref.codec == "module":
        name = _read(reader, ref, source, namespace)
        return modules.load(name) if loads_pickles else modules.loaded(name)
    if not loads_pickles and ref.codec not in CODELESS:
        raise _kept(ref, "is a pickle")
    together = {} if together is None else together
    if ref.codec in _PICKLES:
        reader = functools.partial(_PICKLES[ref.codec], known=together)
    elif not loads_pickles:
        reader = _CAREFUL.get(ref.codec, reader)
    if ref.is_member:
        if ref.file_name not in together:
            together[ref.file_name] = _read(reader, ref, source, namespace)
        members = together[ref.file_name]
        if not isinstance(members, dict) or ref.name not in members:
            raise ValueCodecError(f"`{ref.name}` is not in its file; run the cell again.")
        value = members[ref.name]
    else:
        value = _read(reader, ref, source, namespace)
    together[ref.name] = value
    return value


def _read(reader: Reader, ref: ValueRef, source: Source, namespace: dict[str, Any]) -> Any:
    try:
        return reader(ref, source, namespace)
    except ModuleNotFoundError as exc:
        library = (exc.name or str(exc)).partition(".")[0]
        raise ValueCodecError(
            f"`{ref.name}` (`{ref.type_name}`) needs `{library}`, which cannot be imported where "
            "it is read: on a host choose an image that has it with --image, here install it."
        ) from exc
    except ValueCodecError:
        raise
    except (reducers.WrongPython, dtypes.WrongProcessor) as exc:
        raise ValueCodecError(f"`{ref.name}` {exc}.") from exc
    except OSError as exc:
        raise ValueCodecError(
            f"The file of `{ref.name}` cannot be read: {exc}; run the cell again."
        ) from exc
    except Exception as exc:
        raise ValueCodecError(
            f"`{ref.name}` (`{ref.type_name}`) cannot be read back: "
            f"{type(exc).__name__}: {exc}; {_remedy(ref, exc)}."
        ) from exc


def _remedy(ref: ValueRef, failure: Exception) -> str:
    if ref.codec not in _PICKLES or isinstance(failure, MemoryError):
        return "run the cell again"
    if str(failure).startswith("Can't get attribute"):
        return "install the same version of its library here and on the host"
    return (
        "its class, or the class of something in it, does not say how it is rebuilt: "
        "give that class `__reduce__`"
    )


def _checked(ref: ValueRef, source: Source) -> stored.Buffer:
    data = source if isinstance(source, (bytes, memoryview)) else _content(Path(source))
    stored.check(ref, data)
    return data


def _content(path: Path) -> stored.Buffer:
    with path.open("rb") as file:
        size_bytes = os.fstat(file.fileno()).st_size
        if size_bytes < stored.THREADED_BYTES:
            return file.read()
        # Hashing and decompressing from the page cache saves the copy: a third of the time.
        return memoryview(mmap.mmap(file.fileno(), size_bytes, access=mmap.ACCESS_READ))


def _module(ref: ValueRef, source: Source, namespace: dict[str, Any]) -> Any:
    return str(_checked(ref, source), "utf-8")


def _pickle(ref: ValueRef, source: Source, namespace: dict[str, Any], known: dict[str, Any]) -> Any:
    return pickles.loads(_checked(ref, source), namespace, known=known)


def _blosc2(ref: ValueRef, source: Source, namespace: dict[str, Any]) -> Any:
    return _as_promised(ref, blosc.load(ref, _checked(ref, source)))


def _npy(ref: ValueRef, source: Source, namespace: dict[str, Any]) -> Any:
    dtypes.check_description(ref.dtype or "")
    whole = source if isinstance(source, (bytes, memoryview)) else os.fspath(source)
    return _as_promised(ref, arrays.npy_load(ref, whole))


def _as_promised(ref: ValueRef, array: arrays.Array) -> arrays.Array:
    promised = dtypes.without_layout(ref.dtype or "")
    if array.shape != ref.shape or str(array.dtype) != promised:
        raise ValueError(f"{array.dtype} {array.shape} instead of {ref.dtype} {ref.shape}")
    return array


def _sparse(reader: Callable[[stored.Buffer], Any]) -> Reader:
    def read(ref: ValueRef, source: Source, namespace: dict[str, Any]) -> Any:
        return sparse.put_together(*reader(_checked(ref, source)))

    return read


def _whole(reader: Callable[[stored.Buffer], Any]) -> Reader:
    def read(ref: ValueRef, source: Source, namespace: dict[str, Any]) -> Any:
        return reader(_checked(ref, source))

    return read


def _careful_table(reader: Callable[[stored.Buffer], Any]) -> Reader:
    def read(ref: ValueRef, source: Source, namespace: dict[str, Any]) -> Any:
        data = _checked(ref, source)
        if arrow.has_extension_types(data):
            raise _kept(ref, "holds extension types")
        return reader(data)

    return read


def _kept(ref: ValueRef, why: str) -> PickleKept:
    return PickleKept(f"`{ref.name}` (`{ref.type_name}`) {why}: reading it may run code.")


def _pickle_zip(
    ref: ValueRef, source: Source, namespace: dict[str, Any], known: dict[str, Any]
) -> Any:
    pickled, outside = buffers.read(_checked(ref, source))
    return pickles.loads(pickled, namespace, outside, known)


_READERS: dict[str, Reader] = {
    "json": _whole(jsontags.loads),
    "blosc2": _blosc2,
    "npy": _npy,
    "hdf5": _sparse(hdf5.read),
    "npz": _sparse(npz.read),
    "arrow": _whole(arrow.read),
    "polars": _whole(arrow.read_polars),
    "ubjson": _whole(boosters.read),
    "module": _module,
}
_PICKLES: dict[str, Callable[..., Any]] = {"pickle": _pickle, "pickle_zip": _pickle_zip}

# For bytes from whoever may run no code here.
_CAREFUL: dict[str, Reader] = {
    "arrow": _careful_table(functools.partial(arrow.read, validates=True)),
    "polars": _careful_table(arrow.read_polars),
}

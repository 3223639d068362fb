"""A variable into bytes: choose the codec, name the value and its chunks."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from kernelext.errors import ValueCodecError
from kernelext.models import ValueRef
from kernelext.values import arrays, blosc, culprit, jsontags, modules, pickles, stored

LIBRARIES = ("numpy", "blosc2")
SHAPED = frozenset({"pandas", "polars", "scipy", "torch", "numpy"})


@dataclass(frozen=True)
class Encoded:
    """A variable as bytes.

    Attributes
    ----------
    ref : ValueRef
        Its manifest.
    parts : tuple of bytes or memoryview
        The stored bytes of ``ref.chunks``, in the same order. They may view the value's own
        memory: send or copy them before it changes.
    """

    ref: ValueRef
    parts: tuple[stored.Buffer, ...]


def encode(
    name: str,
    value: object,
    namespace: dict[str, Any],
    *,
    abilities: Collection[str] | None = None,
) -> Encoded:
    """Turn a variable into bytes.

    Parameters
    ----------
    name : str
        The variable.
    value : object
    namespace : dict
        The globals of the notebook, or of the run. Functions and classes defined in it travel
        as code; what they read of it does not travel with them.
    abilities : collection of str, optional
        Of ``numpy`` and ``blosc2``, what the other side can import; by default what is
        importable here.

    Returns
    -------
    Encoded

    Raises
    ------
    ValueCodecError
        The variable cannot travel; the message names what in it and the next step.
    """
    if abilities is None:
        abilities = _importable()
    array = arrays.as_array(value)
    if array is not None and arrays.is_exact(array):
        return _encode_array(name, array, abilities)
    codec, data = _encode_other(name, value, namespace)
    chunks, parts = stored.cut([data])
    ref = ValueRef(
        name=name,
        codec=codec,
        identity=stored.identity_of(codec, data),
        chunks=chunks,
        type_name=type(value).__name__,
        size_bytes=len(data),
        shape=_shape(value),
    )
    return Encoded(ref, parts)


def identity(name: str, value: object, namespace: dict[str, Any]) -> str:
    """Return the identity that `encode` would give a variable, without its stored bytes.

    Parameters
    ----------
    name, value, namespace
        As for `encode`.

    Returns
    -------
    str
        SHA-256, in hexadecimal.

    Raises
    ------
    ValueCodecError
        The variable cannot travel.
    """
    array = arrays.as_array(value)
    if array is not None and arrays.is_exact(array):
        return arrays.identity(array, *arrays.raw(array))
    return stored.identity_of(*_encode_other(name, value, namespace))


def _encode_array(name: str, array: arrays.Array, abilities: Collection[str]) -> Encoded:
    codec = arrays.codec_of(name, array, abilities)
    order, flat = arrays.raw(array)
    if array.nbytes < stored.THREADED_BYTES:
        found = arrays.identity(array, order, flat)
        codec, (chunks, parts) = _stored_array(array, order, flat, codec)
    else:
        with ThreadPoolExecutor(1) as pool:  # SHA-256 takes as long as compressing
            hashing = pool.submit(arrays.identity, array, order, flat)
            codec, (chunks, parts) = _stored_array(array, order, flat, codec)
            found = hashing.result()
    ref = ValueRef(
        name=name,
        codec=codec,
        identity=found,
        chunks=chunks,
        type_name="ndarray",
        size_bytes=array.nbytes,
        shape=array.shape,
        dtype=str(array.dtype),
    )
    return Encoded(ref, parts)


def _stored_array(
    array: arrays.Array, order: str, flat: arrays.Array, codec: str
) -> tuple[str, stored.Pieces]:
    if codec == "blosc2":
        filter_name = blosc.choose_filter(flat, array.itemsize)
        if filter_name is not None:
            return codec, stored.cut([blosc.frame(array, order, flat, filter_name)])
    # Also what does not compress: raw, and without the copy that a frame is.
    return "npy", stored.cut(arrays.npy_parts(array, order, flat))


def _encode_other(name: str, value: object, namespace: dict[str, Any]) -> tuple[str, stored.Buffer]:
    if isinstance(value, ModuleType):
        module = modules.name_of(value)
        if module is not None:
            return "module", module.encode()
    try:
        return "json", jsontags.dumps(value)
    except jsontags.NotPlain:
        pass
    try:
        return "pickle", pickles.dumps(value, namespace)
    except pickles.Unpicklable as exc:
        raise ValueCodecError(_why_not(name, value, exc)) from exc


def _why_not(name: str, value: object, failure: pickles.Unpicklable) -> str:
    if isinstance(failure.__cause__, RecursionError) or "recursion" in str(failure):
        return (
            f"`{name}` cannot travel: it is nested too deeply; "
            "make it flatter, or build it inside the cell."
        )
    what = culprit.describe(failure.culprit)
    path = culprit.path_to(name, value, failure.culprit)
    where = f"`{path}` is {what}" if path else f"it holds {what}"
    return (
        f"`{name}` cannot travel: {where} ({str(failure).rstrip('.')}); "
        "make it inside the cell, or leave it out."
    )


def _shape(value: object) -> tuple[int, ...] | None:
    if type(value).__module__.partition(".")[0] not in SHAPED:
        return None
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and all(isinstance(n, int) for n in shape):
        return tuple(int(n) for n in shape)
    return None


@functools.cache
def _importable() -> frozenset[str]:
    return frozenset(name for name in LIBRARIES if importlib.util.find_spec(name))

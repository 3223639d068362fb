"""Chooses how a variable is taken apart and which codec stores it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from types import ModuleType
from typing import Any

from kernelext.errors import ValueCodecError
from kernelext.values import (
    arrays,
    arrow,
    blosc,
    boosters,
    buffers,
    culprit,
    dtypes,
    frames,
    hdf5,
    jsontags,
    modules,
    npz,
    pickles,
    sparse,
)
from kernelext.values.form import Form, NotExact, Stored

SHAPED = frozenset({"pandas", "polars", "scipy", "torch", "numpy"})


def form_of(name: str, value: object, namespace: dict[str, Any]) -> Form:
    """Take a variable apart.

    Parameters
    ----------
    name : str
    value : object
    namespace : dict
        The globals of the notebook, or of the run.

    Raises
    ------
    ValueCodecError
        The variable cannot travel; the message names what in it and the next step.
    """
    for is_its, take in _TAKERS:
        if is_its(value):
            try:
                return take(value)
            except NotExact:
                break
    return pickled(name, value, namespace)


def _array(value: Any) -> Form:
    array = arrays.as_array(value)
    assert array is not None
    if not arrays.is_exact(array):
        raise NotExact
    order, flat = arrays.raw(array)

    def store(abilities: Collection[str]) -> Stored:
        codec = arrays.codec_of(array)
        if codec in abilities:
            filter_name = blosc.choose_filter(flat, array.itemsize)
            if filter_name is not None:
                frame, digests = frames.write(array, order, flat, filter_name)
                return Stored(codec, (frame,), digests=digests)
        # Also what does not compress: raw, and without the copy that a frame is.
        lacking = ("blosc2",) if codec == "blosc2" and codec not in abilities else ()
        return Stored("npy", arrays.npy_parts(array, order, raw), lacking)

    raw = flat.data
    header = arrays.identity_header(array, order)
    dtype = dtypes.describe(array.dtype)
    size_bytes, shape = array.nbytes, array.shape
    return Form(header, (raw,), store, ("numpy",), size_bytes, shape, dtype, hashes=True)


def _sparse(value: Any) -> Form:
    header, found = sparse.take_apart(value)

    def store(abilities: Collection[str]) -> Stored:
        if all(map(hdf5.can_hold, found.values())):
            if {"tables", "blosc2"} <= set(abilities):
                return Stored("hdf5", (hdf5.write(header, found),))
            return Stored("npz", (npz.write(header, found),), ("tables",))
        return Stored("npz", (npz.write(header, found),))

    raw = tuple(arrays.raw(array)[1].data for array in found.values())
    name = sparse.identity_header(header, found)
    size_bytes = sum(map(len, raw))
    return Form(name, raw, store, ("scipy",), size_bytes, value.shape, str(value.dtype))


def _table(value: Any) -> Form:
    form = arrow.form_of(value)
    if form.needs != ("pandas",):
        return form

    def store(abilities: Collection[str]) -> Stored:
        if "pyarrow" in abilities:
            return form.store(abilities)
        file = pickled("", value, {}).store(abilities)
        return Stored(file.codec, file.buffers, ("pyarrow",))

    return dataclasses.replace(form, store=store)


def _booster(value: Any) -> Form:
    data = boosters.write(value)
    return Form("ubjson", (data,), lambda _: Stored("ubjson", (data,)), ("xgboost",), len(data))


def _module(value: ModuleType) -> Form:
    name = modules.name_of(value)
    if name is None:
        raise NotExact
    data = name.encode()
    return Form("module", (data,), lambda _: Stored("module", (data,)), (), len(data))


def _plain(value: object) -> Form:
    try:
        data = jsontags.dumps(value)
    except jsontags.NotPlain as exc:
        raise NotExact from exc
    return Form("json", (data,), lambda _: Stored("json", (data,)), (), len(data))


def pickled(
    name: str, value: object, namespace: dict[str, Any], refers: Mapping[int, str] | None = None
) -> Form:
    """Take a value apart as a pickle, whatever it is.

    Parameters
    ----------
    name, value, namespace
        As for `form_of`.
    refers : mapping of int to str, optional
        Variables in it that the pickle only names, by the ids of their objects.

    Raises
    ------
    ValueCodecError
        It cannot be pickled; the message names what in it.
    """
    try:
        made = pickles.dumps(value, namespace, refers)
    except pickles.Unpicklable as exc:
        raise ValueCodecError(_why_not(name, value, exc)) from exc

    def store(abilities: Collection[str]) -> Stored:
        if not made.outside:
            return Stored("pickle", (made.data,))
        return Stored("pickle_zip", buffers.write(made.data, made.outside, abilities))

    raw = (made.data, *(buffer.raw() for buffer in made.outside))
    return Form(
        "pickle",
        raw,
        store,
        size_bytes=sum(map(len, raw)),
        shape=_shape(value),
        holds_code=made.holds_code,
        libraries=made.libraries,
    )


_TAKERS: tuple[tuple[Callable[[Any], bool], Callable[[Any], Form]], ...] = (
    (lambda value: arrays.as_array(value) is not None, _array),
    (lambda value: isinstance(value, ModuleType), _module),
    (sparse.is_sparse, _sparse),
    (arrow.is_table, _table),
    (boosters.is_model, _booster),
    (jsontags.may_be_plain, _plain),
)


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

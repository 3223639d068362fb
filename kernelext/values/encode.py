"""A variable into bytes: names the value and its chunks."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from kernelext.models import ValueRef
from kernelext.values import forms, stored
from kernelext.values.abilities import own_abilities
from kernelext.values.form import Form


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
    needs : tuple of str
        Libraries without which the other side cannot hold the value at all.
    lacking : tuple of str
        Libraries that the other side lacks to hold it in the form of choice.
    holds_code : bool
        Whether it is a pickle with byte code, which one Python minor version alone runs.
    libraries : frozenset of str
        Modules, the outermost, whose objects a pickle holds.
    """

    ref: ValueRef
    parts: tuple[stored.Buffer, ...]
    needs: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    holds_code: bool = False
    libraries: frozenset[str] = frozenset()


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
        Of `abilities.LIBRARIES`, what the other side can import; by default what is importable
        here. What the codec of choice needs and the other side lacks is stored otherwise.

    Returns
    -------
    Encoded

    Raises
    ------
    ValueCodecError
        The variable cannot travel; the message names what in it and the next step.
    """
    return encode_form(name, value, forms.form_of(name, value, namespace), abilities)


def encode_form(
    name: str, value: object, form: Form, abilities: Collection[str] | None = None
) -> Encoded:
    """Turn a variable that has been taken apart into bytes; parameters as for `encode`."""
    own = own_abilities()
    shared = own if abilities is None else own.intersection(abilities)
    digester = stored.Digester()
    if form.hashes or sum(map(len, form.raw)) < stored.THREADED_BYTES:
        file = form.store(shared)
        if file.digests:
            digester.know(form.raw[0], file.digests)
        found = stored.identity_of(form.header, form.raw, digester)
    else:
        with ThreadPoolExecutor(1) as pool:  # SHA-256 takes as long as compressing
            hashing = pool.submit(stored.identity_of, form.header, form.raw, digester)
            file = form.store(shared)
            found = hashing.result()
    chunks, parts = stored.cut(file.buffers, digester)
    ref = ValueRef(
        name=name,
        codec=file.codec,
        identity=found,
        chunks=chunks,
        type_name=type(value).__name__,
        size_bytes=form.size_bytes,
        shape=form.shape,
        dtype=form.dtype,
    )
    return Encoded(ref, parts, form.needs, file.lacking, form.holds_code, form.libraries)


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
    form = forms.form_of(name, value, namespace)
    return stored.identity_of(form.header, form.raw)

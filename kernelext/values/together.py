"""Variables that hold the same object into bytes, so that it stays one on the other side."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from kernelext.errors import ValueCodecError
from kernelext.models import ValueRef
from kernelext.values import pickles, stored
from kernelext.values.encode import Encoded, encode
from kernelext.values.immutable import is_immutable
from kernelext.values.sharing import shared_groups


def in_groups(values: Mapping[str, object]) -> list[tuple[str, ...]]:
    """Divide variables into those that `encode_group` has to see together, in their order."""
    group_of = {name: group for group in shared_groups(values) for name in group}
    return list(dict.fromkeys(group_of.get(name, (name,)) for name in values))


def encode_group(
    names: Sequence[str],
    values: Mapping[str, object],
    namespace: dict[str, Any],
    *,
    abilities: Collection[str] | None = None,
) -> list[Encoded]:
    """Turn variables that share objects into bytes.

    Several names of one object refer to the first of them; where the sharing is nested, all are
    one pickle, to which every variable's manifest refers.

    Parameters
    ----------
    names : sequence of str
        One of the groups of `in_groups`.
    values : mapping of str to object
    namespace, abilities
        As for `encode`.

    Raises
    ------
    ValueCodecError
        One of them cannot travel.
    """
    first = names[0]
    if all(values[name] is values[first] for name in names):
        encoded = encode(first, values[first], namespace, abilities=abilities)
        twins = (dataclasses.replace(encoded.ref, name=name, same_as=first) for name in names[1:])
        return [encoded, *(Encoded(ref, encoded.parts) for ref in twins)]
    try:
        data = pickles.dumps({name: values[name] for name in names}, namespace)
    except pickles.Unpicklable as exc:
        for name in names:  # this one says which, and why
            encode(name, values[name], namespace, abilities=abilities)
        raise ValueCodecError(f"{', '.join(names)} cannot travel together: {exc}") from exc
    chunks, parts = stored.cut([data])
    return [
        Encoded(
            ValueRef(
                name=name,
                codec="pickle",
                identity=stored.identity_of("pickle", data),
                chunks=chunks,
                type_name=type(values[name]).__name__,
                size_bytes=len(data),
                is_member=True,
            ),
            parts,
        )
        for name in names
    ]


def same_object(value: object, names: Iterable[str], namespace: Mapping[str, object]) -> str:
    """Return the first of some names that is bound to an object, which may change; else ''."""
    if is_immutable(value):
        return ""
    return next((name for name in names if namespace.get(name) is value), "")

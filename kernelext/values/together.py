"""Variables that hold the same object into bytes, so that it stays one on the other side."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from kernelext.errors import ValueCodecError
from kernelext.values import forms
from kernelext.values.encode import Encoded, encode, encode_form
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
        return [encoded, *(dataclasses.replace(encoded, ref=ref) for ref in twins)]
    held = {name: values[name] for name in names}
    try:
        form = forms.pickled(first, held, namespace)
    except ValueCodecError:
        for name in names:  # this one names the variable that cannot
            encode(name, values[name], namespace, abilities=abilities)
        raise
    whole = encode_form(first, held, form, abilities)
    kinds = {name: type(values[name]).__name__ for name in names}
    refs = (
        dataclasses.replace(whole.ref, name=name, type_name=kinds[name], is_member=True)
        for name in names
    )
    return [dataclasses.replace(whole, ref=ref) for ref in refs]


def same_object(value: object, names: Iterable[str], namespace: Mapping[str, object]) -> str:
    """Return the first of some names that is bound to an object, which may change; else ''."""
    if is_immutable(value):
        return ""
    return next((name for name in names if namespace.get(name) is value), "")

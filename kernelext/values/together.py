"""Variables that hold the same object into bytes, so that it stays one on the other side."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from kernelext.errors import ValueCodecError
from kernelext.values import forms
from kernelext.values.bundles import Bundle, bundles_of
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

    Several names of one object refer to the first of them. A variable that holds others is a
    pickle with references to these, which come before it in files of their own. Only what holds
    each other, or shares what is no variable, is one pickle, to which every manifest refers.

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
    mine = {name: values[name] for name in names}
    found: dict[int, Encoded] = {}
    for bundle in bundles_of(mine):
        for each in _encode_bundle(bundle, mine, namespace, abilities):
            found[id(mine[each.ref.name])] = each
    encoded = list(found.values())
    for name in names:
        first = found[id(mine[name])]
        if first.ref.name != name:
            ref = dataclasses.replace(first.ref, name=name, same_as=first.ref.name)
            encoded.append(dataclasses.replace(first, ref=ref))
    return encoded


def _encode_bundle(
    bundle: Bundle,
    values: Mapping[str, object],
    namespace: dict[str, Any],
    abilities: Collection[str] | None,
) -> list[Encoded]:
    first, *others = bundle.names
    if not others:
        if not bundle.refers:
            return [encode(first, values[first], namespace, abilities=abilities)]
        form = forms.pickled(first, values[first], namespace, bundle.refers)
        return [encode_form(first, values[first], form, abilities)]
    held = {name: values[name] for name in bundle.names}
    try:
        form = forms.pickled(first, held, namespace, bundle.refers)
    except ValueCodecError:
        for name in bundle.names:  # this one names the variable that cannot
            encode(name, values[name], namespace, abilities=abilities)
        raise
    whole = encode_form(first, held, form, abilities)
    kinds = {name: type(values[name]).__name__ for name in bundle.names}
    refs = (
        dataclasses.replace(whole.ref, name=name, type_name=kinds[name], is_member=True)
        for name in bundle.names
    )
    return [dataclasses.replace(whole, ref=ref) for ref in refs]


def same_object(value: object, names: Iterable[str], namespace: Mapping[str, object]) -> str:
    """Return the first of some names that is bound to an object, which may change; else ''."""
    if is_immutable(value):
        return ""
    return next((name for name in names if namespace.get(name) is value), "")

"""Gives an object the attributes that it has elsewhere, if that is all that it consists of."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterable
from types import FunctionType, GetSetDescriptorType, ModuleType
from typing import Any

# Past so many objects none is looked into (some 30 ms): the names are bound anew.
MOST_OBJECTS = 50_000
_CODE = (type, ModuleType)
_ATOMS = frozenset((bool, bytes, complex, float, int, str, type(None)))


class _Plain:
    """An object of attributes and nothing else."""


def refill_attributes(old: Any, new: Any) -> bool:
    """Let an object have the attributes of another of its class, and no others.

    Only where the attributes are all there is: neither slots nor what a library keeps in C, no
    `__del__` that would release what the two then share, and nothing that refers to `new`.

    Parameters
    ----------
    old, new : object
        Of one class; `new` is given up.

    Returns
    -------
    bool
        False for what cannot be changed so; then nothing is changed.
    """
    if not _is_plain(type(old)):
        return False
    state, found = _attributes(old), _attributes(new)
    if state is None or found is None or weakref.getweakrefcount(new):
        return False
    if leads_to(found.values(), (new, found)):
        return False
    state.clear()
    state.update(found)
    return True


def leads_to(parts: Iterable[object], targets: tuple[object, ...]) -> bool:
    """Tell whether one of some objects is within reach of others; in doubt it is.

    Parameters
    ----------
    parts : iterable of object
        Where to start.
    targets : tuple of object
    """
    sought = {id(target) for target in targets}
    waiting = list(parts)
    seen: set[int] = set()
    for part in waiting:
        if id(part) in sought:
            return True
        if id(part) in seen or isinstance(part, _CODE):
            continue
        seen.add(id(part))
        if len(seen) > MOST_OBJECTS:
            return True
        referents = _referents(part)
        if not _ATOMS.issuperset(map(type, referents)):  # millions of numbers are soon passed by
            waiting.extend(filter(_may_refer, referents))
    return False


def _is_plain(kind: type) -> bool:
    return (
        kind.__basicsize__ == _Plain.__basicsize__
        and kind.__itemsize__ == 0
        and not hasattr(kind, "__del__")
        and not any(vars(base).get("__slots__") for base in kind.__mro__)
    )


def _attributes(value: Any) -> dict[str, Any] | None:
    """Return the dict of an object's attributes; None where its class makes its own."""
    for base in type(value).__mro__:
        descriptor = vars(base).get("__dict__")
        if descriptor is not None:
            is_own = type(descriptor) is GetSetDescriptorType
            return descriptor.__get__(value) if is_own else None
    return None


def _referents(value: Any) -> list[Any]:
    if isinstance(value, FunctionType):  # its globals are the notebook's variables
        defaults = (value.__defaults__, value.__kwdefaults__, value.__dict__)
        return [*(value.__closure__ or ()), *filter(None, defaults)]
    if _is_array_of_objects(value):
        elements: list[Any] = value.ravel().tolist()
        return elements
    return gc.get_referents(value)


def _may_refer(value: object) -> bool:
    return gc.is_tracked(value) or _is_array_of_objects(value)


def _is_array_of_objects(value: Any) -> bool:
    """Whether a value is what refers to others although the garbage collector ignores it."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray) and value.dtype.hasobject

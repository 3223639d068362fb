"""Containers whose class takes items in its own way: theirs are what they hold, taken once."""

from __future__ import annotations

from types import FunctionType
from typing import Any


def takes_its_own_way(obj: object) -> bool:
    """Tell whether an object is a dict or list whose class overrides how items come in."""
    kind = type(obj)
    if isinstance(obj, dict):
        return kind is not dict and type(_found(kind, "__setitem__")) is FunctionType
    if isinstance(obj, list):
        ways = (_found(kind, "append"), _found(kind, "extend"))
        return kind is not list and any(type(way) is FunctionType for way in ways)
    return False


def reduce_items(obj: Any) -> Any:
    """Reduce such a container; unpickling would put its items through the override again.

    Returns
    -------
    tuple or str
        As `object.__reduce_ex__` does.
    """
    reduced = obj.__reduce_ex__(4)
    if not isinstance(reduced, tuple) or len(reduced) != 5:
        return reduced  # of its own `__reduce__`
    make, args, state, items, pairs = reduced
    return make, args, (state, list(items or ()), list(pairs or ())), None, None, _fill


def _fill(obj: Any, held: tuple[Any, list[Any], list[tuple[Any, Any]]]) -> None:
    state, items, pairs = held
    if items:
        _plain(type(obj), "extend")(obj, items)
    put = _plain(type(obj), "__setitem__")
    for key, value in pairs:
        put(obj, key, value)
    if state is None:
        return
    if hasattr(obj, "__setstate__"):
        obj.__setstate__(state)
        return
    attributes, slots = state if isinstance(state, tuple) else (state, {})
    if attributes:
        vars(obj).update(attributes)
    for name, value in slots.items():
        setattr(obj, name, value)


def _found(kind: type, name: str) -> Any:
    return next(vars(base)[name] for base in kind.__mro__ if name in vars(base))


def _plain(kind: type, name: str) -> Any:
    """Return the method of the nearest base that is no Python code."""
    found = (vars(base)[name] for base in kind.__mro__ if name in vars(base))
    return next(method for method in found if type(method) is not FunctionType)

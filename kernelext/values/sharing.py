"""Finds variables that hold the same object, so that it can stay one object; encodes nothing."""

from __future__ import annotations

import enum
import sys
from collections import OrderedDict, defaultdict, deque
from collections.abc import Container, Iterable, Iterator, Mapping
from types import BuiltinFunctionType, CellType, FunctionType, MethodType, ModuleType
from typing import Any

from kernelext.values.disjoint import DisjointSets
from kernelext.values.immutable import ATOMS

# Past so many objects no more is looked into (some 20 ms).
MOST_OBJECTS = 50_000
SEQUENCES = (list, tuple, set, frozenset, deque)
MAPPINGS = (dict, OrderedDict, defaultdict)
# What is in these is nobody else's, or is shared and never changed, such as a frame's index.
SEALED = frozenset(
    {"datetime", "decimal", "numpy", "pandas", "pathlib", "polars", "pyarrow", "re", "scipy"}
)
CODE = (type, ModuleType, BuiltinFunctionType)


def shared_groups(values: Mapping[str, object]) -> list[tuple[str, ...]]:
    """List the variables that hold the same object, at the top or nested.

    Views of one array, and objects within a frame or an array, are not looked for.

    Parameters
    ----------
    values : mapping of str to object

    Returns
    -------
    list of tuple of str
        Of two names or more each, in the order of `values`.
    """
    found = {name: value for name, value in values.items() if not _is_plain(value)}
    if len(found) < 2:
        return []
    sets = DisjointSets(found)
    owner: dict[int, str] = {}
    held: list[object] = []  # no two of them share an id while they are held
    for name, value in found.items():
        for part in objects_in(value, held):
            first = owner.setdefault(id(part), name)
            if first != name:
                sets.join(first, name)
    return [tuple(names) for names in sets.sets().values() if len(names) > 1]


def holds_itself(value: object) -> bool:
    """Tell whether something in a value refers back to it."""
    held: list[object] = []
    return any(
        part is value
        for start in _parts(value)
        if not _is_plain(start)
        for part in objects_in(start, held)
    )


def _is_plain(value: object) -> bool:
    return type(value) in ATOMS or isinstance(value, (enum.Enum, *CODE))


def objects_in(value: object, held: list[object], stops: Container[int] = ()) -> Iterator[object]:
    """Yield what can change in place, or is told apart, in a value.

    Parameters
    ----------
    value : object
    held : list of object
        Takes what has been looked at, in all values: no two of them share an id meanwhile.
    stops : container of int
        Ids of objects into which is not looked, unless it is the value itself.
    """
    waiting, seen = [value], set()
    for part in waiting:
        if id(part) in seen:
            continue
        seen.add(id(part))
        if len(held) >= MOST_OBJECTS:
            return
        held.append(part)
        is_stop = id(part) in stops
        if is_stop or type(part) not in (tuple, frozenset):
            yield part
        if part is value or not is_stop:
            waiting.extend(each for each in _parts(part) if not _is_plain(each))


def _parts(value: Any) -> Iterable[object]:
    kind = type(value)
    if kind in SEQUENCES:
        return value if len(value) <= MOST_OBJECTS else ()
    if kind in MAPPINGS:
        return value.values() if len(value) <= MOST_OBJECTS else ()
    if kind is FunctionType:
        return _parts_of_function(value)
    if kind is MethodType:
        return (value.__self__, value.__func__)
    if kind is CellType:
        try:
            return (value.cell_contents,)
        except ValueError:  # not bound yet
            return ()
    if kind.__module__.partition(".")[0] in SEALED:
        return ()
    try:
        state = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return ()
    return state.values() if type(state) is dict else ()


def _parts_of_function(function: FunctionType) -> list[object]:
    home = sys.modules.get(function.__module__ or "")
    if function.__module__ != "__main__" and getattr(home, function.__name__, None) is function:
        return []  # travels as its name
    defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    return [*(function.__closure__ or ()), *defaults, *function.__dict__.values()]

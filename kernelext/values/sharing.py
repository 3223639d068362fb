"""Finds variables that hold the same object, so that it can stay one object; encodes nothing."""

from __future__ import annotations

import enum
import sys
from collections import OrderedDict, defaultdict, deque
from collections.abc import Collection, Container, Iterator, Mapping
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from kernelext.holding import class_attributes, holdings, is_notebook_class
from kernelext.values.disjoint import DisjointSets
from kernelext.values.immutable import ATOMS, is_immutable

# Past so many objects no more is looked into (some 100 ms).
MOST_OBJECTS = 50_000
SEQUENCES = (list, tuple, set, frozenset, deque)
MAPPINGS = (dict, OrderedDict, defaultdict)
# What is in these is nobody else's, or is shared and never changed, such as a frame's index.
SEALED = frozenset(
    {"datetime", "decimal", "numpy", "pandas", "pathlib", "polars", "pyarrow", "re", "scipy"}
)
PLAIN = (enum.Enum, ModuleType)
NOT_TOLD_APART = (tuple, frozenset)


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
    tops = {id(each) for each in found.values() if type(each) not in NOT_TOLD_APART or _parts(each)}
    sets = DisjointSets(found)
    owner: dict[int, str] = {}
    held: list[object] = []  # no two of them share an id while they are held
    for name, value in found.items():
        for part in objects_in(value, held, tops):
            first = owner.setdefault(id(part), name)
            if first != name:
                sets.join(first, name)
    return [tuple(names) for names in sets.sets().values() if len(names) > 1]


def holds_itself(value: object) -> bool:
    """Tell whether something in a value refers back to it."""
    held: list[object] = []
    top = {id(value)}
    return any(part is value for start in _parts(value) for part in objects_in(start, held, top))


def _is_plain(value: object) -> bool:
    kind = type(value)
    if kind in ATOMS or issubclass(kind, PLAIN):
        return True
    if issubclass(kind, type):
        return not is_notebook_class(value) or issubclass(kind, enum.EnumMeta)
    return kind is BuiltinFunctionType and is_immutable(value)


def objects_in(value: object, held: list[object], tops: Container[int]) -> Iterator[object]:
    """Yield what can change in place, or is told apart, in a value.

    Of what only its classes hold, which all their instances have in common, nothing but the
    variables.

    Parameters
    ----------
    value : object
    held : list of object
        Takes what has been looked at, in all values: no two of them share an id meanwhile.
    tops : container of int
        Ids of the objects that are variables, into which is not looked unless it is the value
        itself.
    """
    own: list[object] = [value]
    of_classes: list[object] = []
    seen = set()
    for waiting in (own, of_classes):
        for part in waiting:
            if id(part) in seen:
                continue
            seen.add(id(part))
            if len(held) >= MOST_OBJECTS:
                return
            held.append(part)
            kind = type(part)
            if issubclass(kind, type):
                for found in class_attributes(part):
                    of_classes.extend(_told_apart(found.things))
                continue
            # Functions of a class travel with it as its methods do, variables or not.
            is_top = id(part) in tops and (waiting is own or kind is not FunctionType)
            if is_top or (waiting is own and kind not in NOT_TOLD_APART):
                yield part
            if part is value or not is_top:
                waiting.extend(_parts(part))


def _parts(value: Any) -> Collection[object]:
    kind = type(value)
    if kind in SEQUENCES:
        return _told_apart(value)
    if kind in MAPPINGS:
        return [*_told_apart(value.values()), *_told_apart(value)]
    is_own = is_notebook_class(kind)
    if not is_own and kind.__module__.partition(".")[0] in SEALED:
        return ()
    if kind is FunctionType and _is_importable(value):
        return ()  # travels as its name
    found: list[object] = [kind] if is_own else []
    for held in holdings(value):
        found += _told_apart(held.things)
    return found


def _told_apart(things: Collection[object]) -> Collection[object]:
    # A list of numbers is looked through at the speed of C.
    if len(things) > MOST_OBJECTS or ATOMS.issuperset(map(type, things)):
        return ()
    return [each for each in things if type(each) not in ATOMS and not _is_plain(each)]


def _is_importable(function: FunctionType) -> bool:
    home = sys.modules.get(function.__module__ or "")
    return function.__module__ != "__main__" and getattr(home, function.__name__, None) is function

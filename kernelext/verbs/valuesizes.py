"""How large variables are, without encoding it: arrays and frames know, the rest is looked into."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from itertools import islice
from types import ModuleType
from typing import Any

from kernelext.holding import holdings
from kernelext.values import elements

# Their `nbytes` is an attribute and costs nothing; another class's could run code of the user's.
_KNOWING = frozenset({"numpy", "pyarrow", "torch", "cupy", "xarray"})
_MOST_OBJECTS = 5_000  # some 3 ms; what lies deeper is counted when it is encoded
_PANDAS = ("DataFrame", "Series", "Index")
_LEAVES = frozenset({int, float, bool, complex, type(None)})
_SMALL = (str, bytes, bytearray)


def sizes_bytes(values: Mapping[str, object]) -> dict[str, int]:
    """Return about how many bytes variables hold; never less than their arrays and texts.

    Containers and objects are looked into, the first 5,000 things in each variable. What several
    variables hold travels once, and is counted once: as a variable of its own where it is one.

    Examples
    --------
    >>> text = "a" * 1000
    >>> sizes = sizes_bytes({"held": [text, b"12"], "text": text, "again": text})
    >>> sizes["text"], sizes["again"], 2 <= sizes["held"] < 1000
    (1000, 0, True)
    """
    counted = set(map(id, values.values()))
    sizes: dict[str, int] = {}
    names: dict[int, str] = {}
    for name, value in values.items():
        is_first = names.setdefault(id(value), name) == name
        sizes[name] = _size(value, counted) if is_first else 0
    return sizes


def _size(value: object, counted: set[int]) -> int:
    total, looked, waiting = 0, 0, [value]
    while waiting and looked < _MOST_OBJECTS:
        each = waiting.pop()
        if each is not value and id(each) in counted:
            continue
        counted.add(id(each))
        looked += 1
        known = _known_size(each)
        if known is not None:
            total += known
        else:
            total += sys.getsizeof(each, 0) if type(each).__module__ == "builtins" else 0
            waiting.extend(_parts(each))
    return total


def _known_size(value: object) -> int | None:
    if isinstance(value, _SMALL):
        return len(value)
    kind = type(value)
    library = kind.__module__.partition(".")[0]
    if library == "pandas" and kind.__name__.endswith(_PANDAS):
        found: Any = value.memory_usage()  # type: ignore[attr-defined]
        return int(found.sum() if hasattr(found, "sum") else found)
    if library == "polars" and hasattr(value, "estimated_size"):
        return int(value.estimated_size())
    if library in _KNOWING and not isinstance(value, type):
        found = getattr(value, "nbytes", None)
        # An array of objects knows its pointers only.
        if isinstance(found, int) and getattr(getattr(value, "dtype", None), "char", "") != "O":
            return found
    return None


def _parts(value: object) -> list[object]:
    """List what is inside; the keys of a dict first, for the last is looked at first."""
    if type(value) in _LEAVES or issubclass(type(value), (type, ModuleType)):
        return []
    parts: list[object] = []
    for held in reversed([*holdings(value), *elements(value)]):
        parts += islice(held.things, _MOST_OBJECTS)
    return parts

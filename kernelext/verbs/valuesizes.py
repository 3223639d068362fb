"""How large a variable is, without encoding it: arrays and frames know, the rest is looked into."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

# Their `nbytes` is an attribute and costs nothing; another class's could run code of the user's.
_KNOWING = frozenset({"numpy", "pyarrow", "torch", "cupy", "xarray"})
_MOST_OBJECTS = 5_000  # some 3 ms; what lies deeper is counted when it is encoded
_PANDAS = ("DataFrame", "Series", "Index")
_SMALL = (str, bytes, bytearray)


def size_bytes(value: object) -> int:
    """Return about how many bytes a variable holds; never less than its arrays and texts.

    Containers and objects are looked into, the first 5,000 things in them.

    Examples
    --------
    >>> size_bytes({"a": b"1234", "b": [b"12"]}) >= 6
    True
    """
    total, seen, waiting = 0, set[int](), [value]
    while waiting and len(seen) < _MOST_OBJECTS:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
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


def _parts(value: Any) -> Iterator[object]:
    kind = type(value)
    if kind is dict:
        yield from list(islice(value.values(), _MOST_OBJECTS))
    elif kind in (list, tuple, set, frozenset):
        yield from list(islice(value, _MOST_OBJECTS))
    elif kind.__module__.partition(".")[0] == "numpy":
        yield from islice(getattr(value, "flat", ()), _MOST_OBJECTS)
    elif not isinstance(value, type) and kind.__module__ != "builtins":
        held = getattr(value, "__dict__", None) if _has_plain_dict(kind) else None
        if type(held) is dict:
            yield from list(islice(held.values(), _MOST_OBJECTS))


def _has_plain_dict(kind: type) -> bool:
    """Whether an instance's `__dict__` is Python's own, so that reading it runs no code."""
    found = (vars(base).get("__dict__") for base in kind.__mro__)
    return all(each is None or type(each).__name__ == "getset_descriptor" for each in found)

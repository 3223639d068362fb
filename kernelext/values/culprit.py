"""Where in a variable the thing sits that cannot travel."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator
from types import FunctionType, GeneratorType, MethodType
from typing import Any

MAX_VISITED = 100_000


def path_to(name: str, value: object, culprit: object) -> str | None:
    """Return how to reach an object from a variable, or None where it is not found.

    Parameters
    ----------
    name : str
        The variable.
    value : object
        Its value.
    culprit : object
        What to look for, by identity.

    Returns
    -------
    str or None
        For example ``model.callbacks[0].file``; the shortest path.
    """
    queue: deque[tuple[str, object]] = deque([(name, value)])
    seen: dict[int, object] = {}  # holds what it names, so that no id is used twice
    while queue and len(seen) < MAX_VISITED:
        path, found = queue.popleft()
        if found is culprit:
            return path
        if id(found) not in seen:
            seen[id(found)] = found
            queue.extend((path + step, child) for step, child in _children(found))
    return None


def describe(value: object) -> str:
    """Return what a thing is, for people: ``an open file``, ``a generator``, ``a `lock```."""
    if isinstance(value, io.IOBase):
        return f"an open file (`{type(value).__name__}`)"
    if isinstance(value, GeneratorType):
        return "a generator"
    kind = type(value).__name__
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} `{kind}`"


def _children(value: Any) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        yield from ((f"[{_key(key)}]", item) for key, item in dict.items(value))
    elif isinstance(value, (list, tuple)):
        yield from ((f"[{k}]", item) for k, item in enumerate(value))
    elif isinstance(value, (set, frozenset)):
        yield from (("{...}", item) for item in value)
    elif isinstance(value, FunctionType):
        names = value.__code__.co_freevars
        for free, cell in zip(names, value.__closure__ or ()):
            yield from ((f".<{free}>", held) for held in _content(cell))
        yield from ((f".__defaults__[{k}]", d) for k, d in enumerate(value.__defaults__ or ()))
    elif isinstance(value, MethodType):
        yield ".__self__", value.__self__
    yield from _attributes(value)


def _attributes(value: Any) -> Iterator[tuple[str, object]]:
    try:
        held = object.__getattribute__(value, "__dict__")
    except AttributeError:
        held = {}
    yield from ((f".{name}", item) for name, item in dict(held).items())
    if type(value).__module__ == "__main__":  # the class travels too
        yield from ((f".{name}", item) for name, item in vars(type(value)).items())
    for base in type(value).__mro__:
        slots = base.__dict__.get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            try:
                yield f".{slot}", object.__getattribute__(value, slot)
            except AttributeError:
                continue


def _key(key: object) -> str:
    return repr(key) if type(key) in (str, int, float, bool, bytes) else "..."


def _content(cell: Any) -> list[object]:
    try:
        return [cell.cell_contents]
    except ValueError:  # not yet filled
        return []

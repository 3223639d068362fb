"""Where in a variable the thing sits that cannot travel."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator
from itertools import chain
from types import GeneratorType
from typing import Any

from kernelext.holding import class_attributes, holdings
from kernelext.values.elements import elements
from kernelext.values.immutable import ATOMS

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
            queue.extend(_inside(path, found))
    return None


def describe(value: object) -> str:
    """Return what a thing is, for people: ``an open file``, ``a generator``, ``a `lock```."""
    if isinstance(value, io.IOBase):
        return f"an open file (`{type(value).__name__}`)"
    if isinstance(value, GeneratorType):
        return "a generator"
    kind = type(value).__name__
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} `{kind}`"


def _inside(path: str, value: Any) -> Iterator[tuple[str, object]]:
    # The class travels too.
    of_class = class_attributes(value if issubclass(type(value), type) else type(value))
    for held in chain(holdings(value), elements(value), of_class):
        for key, thing in zip(held.keys, held.things):
            if type(thing) not in ATOMS:
                yield held.path.format(path, _key(key) if "[" in held.path else key), thing


def _key(key: object) -> str:
    if type(key) is tuple and key and all(type(each) is int for each in key):
        return ", ".join(map(str, key))
    return repr(key) if type(key) in (str, int, float, bool, bytes) else "..."

"""Sees what the interpreter opens and lists, as it does so."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_watching: list[tuple[str, Callable[[str], None]]] = []


@contextmanager
def audited(event: str, act: Callable[[str], None]) -> Iterator[None]:
    """Call `act` with the path of each event, such as ``open``, before it happens."""
    _set_hook()
    _watching.append((event, act))
    try:
        yield
    finally:
        _watching.pop()


@functools.cache
def _set_hook() -> None:
    sys.addaudithook(_hook)  # there is no way to take one back


def _hook(event: str, args: tuple[object, ...]) -> None:
    for wanted, act in tuple(_watching):
        if event == wanted and args and isinstance(args[0], (str, os.PathLike)):
            act(os.fspath(args[0]))

"""What cannot travel is named with its place."""

from __future__ import annotations

import collections
import functools
import socket
import sqlite3
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from kernelext.errors import ValueCodecError
from kernelext.values import encode, identity

from .trips import new_namespace


class Slotted:
    __slots__ = ("lock",)
    lock: Any


class Pair(NamedTuple):
    one: int
    lock: Any


LOCK = threading.Lock()
HOLDERS: dict[str, tuple[Any, str]] = {
    "partial": (functools.partial(print, LOCK), "partial.args[0]"),
    "option": (functools.partial(print, end=LOCK), "option.keywords['end']"),
    "queue": (collections.deque([LOCK]), "queue[0]"),
    "pair": (Pair(1, LOCK), "pair[1]"),
    "key": ({1: 2, LOCK: 3}, "list(key)[1]"),
    "members": ({LOCK}, "list(members)[0]"),
    "objects": (np.array([None, LOCK], object), "objects[1]"),
    "square": (np.array([[1, None], [LOCK, 2]], object), "square[1, 0]"),
    "frame": (pd.DataFrame({"n": [1], "a": [LOCK]}), "frame['a'][0]"),
    "series": (pd.Series([LOCK], index=["b"]), "series['b']"),
    "method": (LOCK.acquire, "method.__self__"),
    "failure": (ValueError("why", LOCK), "failure.args[1]"),
    "proxy": (types.MappingProxyType({"a": LOCK}), "proxy['a']"),
    "view": ({"a": [LOCK]}.values(), "view.mapping['a'][0]"),
    "nested": ([{"a": functools.partial(print, (1, LOCK))}], "nested[0]['a'].args[0][1]"),
}


class Odd:
    def __repr__(self) -> str:
        raise ValueError


@pytest.fixture
def held(tmp_path: Path) -> Iterator[dict[str, Any]]:
    (tmp_path / "log").write_text("text")
    slotted = Slotted()
    slotted.lock = threading.Lock()
    notebook = new_namespace("""
import threading
def outer(lock):
    def inner(): return lock
    return inner
closure = outer(threading.Lock())
def default(x=[threading.Lock()]): pass
class Refuses:
    def __reduce__(self): raise ValueError("never")
class Holder:
    lock = threading.Lock()
""")
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with (tmp_path / "log").open() as file, (tmp_path / "log").open("rb") as raw:
        database, sock = sqlite3.connect(":memory:"), socket.socket()
        yield {
            "file": SimpleNamespace(callbacks=[SimpleNamespace(file=file)]),
            "raw": raw,
            "lock": {"a": (1, threading.RLock())},
            "keyed": {Odd(): threading.Lock()},
            "slotted": slotted,
            "database": [database],
            "socket": sock,
            "generator": (c for c in "a"),
            "closure": notebook["closure"],
            "default": notebook["default"],
            "refuses": [[notebook["Refuses"]()]],
            "holder": notebook["Holder"](),
            "thread": threading.Thread(),
            "deep": deep,
            **{name: value for name, (value, _) in HOLDERS.items()},
        }
        database.close()
        sock.close()
    while deep:  # freeing it in one go would overflow the stack of some Pythons
        deep = deep.pop()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("file", "`file.callbacks[0].file` is an open file"),
        ("raw", "`raw` is an open file"),
        ("lock", "`lock['a'][1]` is a `RLock`"),
        ("keyed", "`keyed[...]` is a `lock`"),
        ("slotted", "`slotted.lock` is a `lock`"),
        ("database", "`database[0]` is a `Connection`"),
        ("socket", "`socket` is a `socket`"),
        ("generator", "`generator` is a generator"),
        ("closure", "`closure.<lock>` is a `lock`"),
        ("default", "`default.__defaults__[0][0]` is a `lock`"),
        ("refuses", "`refuses[0][0]` is a `Refuses` (never)"),
        ("holder", "`holder.lock` is a `lock`"),
        ("thread", "`thread._"),
        ("deep", "nested too deeply"),
        *((name, f"`{path}` is a `lock`") for name, (_, path) in HOLDERS.items()),
    ],
)
def test_message_names_the_place(name: str, words: str, held: dict[str, Any]) -> None:
    with pytest.raises(ValueCodecError) as caught:
        encode(name, held[name], {})

    assert words in str(caught.value)
    assert str(caught.value).startswith(f"`{name}` cannot travel: ")
    assert "inside the cell" in str(caught.value)


def test_identity_refuses_as_encode_does() -> None:
    with pytest.raises(ValueCodecError, match="`lock` is a `lock`"):
        identity("lock", threading.Lock(), {})

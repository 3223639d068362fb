"""What cannot have been changed in place needs no comparison."""

from __future__ import annotations

import collections
import os
import random
from typing import Any

import numpy as np
import pytest

from kernelext.values import is_immutable

from .trips import new_namespace

NOTEBOOK = new_namespace("""
class Model: pass
def plain(x, y=1): return x
def keeper(x, seen=[]): return seen
def counted(x): pass
counted.calls = 0
def outer(k):
    return lambda: k
""")


@pytest.mark.parametrize(
    "value",
    [
        None,
        1,
        "a",
        2.5,
        1j,
        b"",
        True,
        (),
        (1, ("a", None)),
        frozenset({1, (2,)}),
        range(3),
        ...,
        os,
        len,
        os.path.join,
        collections.Counter,
        np.float64(1),
        np.datetime64("2020"),
        np.lib.format.read_array,
        ",".join,
        dict.fromkeys,
        random.random,
        NOTEBOOK["plain"],
        NOTEBOOK["outer"](1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_immutable(value: Any) -> None:
    assert is_immutable(value)


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        set(),
        bytearray(),
        ([],),
        np.zeros(1),
        np.zeros(1, "i4,i4")[0],
        iter(()),
        [].append,
        np.zeros(1).sum,
        NOTEBOOK["Model"],
        NOTEBOOK["Model"](),
        NOTEBOOK["keeper"],
        NOTEBOOK["counted"],
        NOTEBOOK["outer"]([]),
        type("Text", (str,), {})("a"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_mutable(value: Any) -> None:
    assert not is_immutable(value)

"""Objects of the notebook that take over the content that they have elsewhere."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Any

import numpy as np
import pytest

from kernelext.magics.inplace import refill


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ([1, 2], [3]),
        ({"a": 1, "b": 2}, {"c": 3, "a": 1}),
        ({1, 2}, {3}),
        (bytearray(b"ab"), bytearray(b"c")),
        (deque([1], 3), deque([2, 3], 3)),
    ],
)
def test_refill_changes_in_place(old: Any, new: Any) -> None:
    assert refill(old, new)
    assert old == new
    assert list(old) == list(new)


def test_refill_of_an_array_is_seen_by_its_views() -> None:
    old = np.zeros((2, 3))
    view = old.T[1:]
    assert refill(old, np.asfortranarray(np.ones((2, 3))))
    assert view.sum() == 4


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ([1], (1,)),
        ({}, OrderedDict()),
        (deque([1], 3), deque([1])),
        (np.zeros(2), np.zeros(3)),
        (np.zeros(2), np.zeros(2, "f4")),
        (np.broadcast_to(0.0, 2), np.ones(2)),
        ("a", "b"),
        (object(), object()),
    ],
)
def test_refill_leaves_the_rest_to_be_bound(old: Any, new: Any) -> None:
    before = repr(old)
    assert not refill(old, new)
    assert repr(old) == before


def test_refill_leaves_what_refers_to_itself() -> None:
    new: list[Any] = [1]
    new.append(new)
    assert not refill([1], new)

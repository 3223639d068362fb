"""Objects of the notebook that take over the content that they have elsewhere."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Any

import numpy as np
import pytest

from kernelext.magics.inplace import refill
from kernelext.magics.inplace_together import refill_together


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


def test_objects_that_hold_each_other_are_changed_together() -> None:
    array = np.zeros(3)
    table: dict[str, Any] = {"n": 1}
    loop: list[Any] = [1]
    new_array = np.ones(3)
    new_table: dict[str, Any] = {"n": [2]}
    new_loop: list[Any] = [2]
    new_table["array"], new_table["loop"] = new_array, new_loop
    new_loop.append(new_table)
    news = {"array": new_array, "table": new_table, "loop": new_loop, "made": [new_array]}
    assert refill_together({"array": array, "table": table, "loop": loop}, news)
    assert news["table"] is table
    assert news["made"][0] is array
    assert table["array"] is array
    assert table["loop"] is loop
    assert loop[1] is table
    assert array.sum() == 3


@pytest.mark.parametrize("other", [{1}, ([],), np.array([[1]], "O"), object()])
def test_objects_that_hold_what_is_not_plain_are_left(other: Any) -> None:
    old: list[Any] = [1]
    new = [2, other]
    assert not refill_together({"a": old}, {"a": new, "b": [new]})
    assert (old, new) == ([1], [2, other])


def test_objects_that_no_longer_pair_are_left() -> None:
    one, two = [1], [2]
    assert not refill_together({"a": one, "b": one}, {"a": two, "b": [3]})
    assert not refill_together({"a": one, "b": [1]}, {"a": two, "b": two})
    assert (one, two) == ([1], [2])

"""Objects of the notebook that take over the content that they have elsewhere."""

from __future__ import annotations

import functools
import weakref
from collections import Counter, OrderedDict, defaultdict, deque
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
        (Counter("aab"), Counter("bc")),
        (OrderedDict(a=1, b=2), OrderedDict(b=1, a=2)),
        (defaultdict(list, a=[1]), defaultdict(int, b=2)),
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
    looped: dict[str, Any] = defaultdict(list)
    looped["deep"] = [functools.partial(print, looped)]
    assert not refill(defaultdict(list), looped)


class Model:
    """Of attributes alone."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)

    def method(self) -> None:
        """Do nothing."""


def test_refill_gives_an_object_all_attributes_and_no_others() -> None:
    old, part = Model(a=1, gone=2), [3]
    assert refill(old, Model(a=2, part=part, names=np.array(["x"], object), kind=Model))
    assert sorted(vars(old)) == ["a", "kind", "names", "part"]
    assert old.part is part  # type: ignore[attr-defined]


def test_refill_of_an_estimator_and_of_a_sparse_matrix() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    sparse = pytest.importorskip("scipy.sparse")
    old = linear_model.LinearRegression()
    assert refill(old, linear_model.LinearRegression().fit([[1.0], [2.0]], [1.0, 2.0]))
    assert old.predict([[3.0]]) == pytest.approx([3.0])
    matrix = sparse.lil_matrix((2, 2))
    assert refill(matrix, sparse.lil_matrix(np.eye(2)))
    assert matrix.sum() == 2


def refer_to_itself(how: str) -> Model:
    model = Model()
    places: dict[str, Any] = {
        "part": Model(parent=model),
        "method": model.method,
        "partial": functools.partial(print, model),
        "closure": lambda: model,
        "default": lambda each=model: each,
        "array": np.array([[model]], object),
        "state": [vars(model)],
    }
    vars(model)["held"] = places[how]
    return model


@pytest.mark.parametrize(
    "how", ["part", "method", "partial", "closure", "default", "array", "state"]
)
def test_refill_leaves_an_object_that_its_parts_refer_to(how: str) -> None:
    old = Model(a=1)
    assert not refill(old, refer_to_itself(how))
    assert vars(old) == {"a": 1}


def test_refill_leaves_an_object_that_is_weakly_known() -> None:
    new = Model(a=2)
    known = weakref.ref(new)
    assert not refill(Model(a=1), new)
    assert known() is new


class Slotted:
    """Has what no dict holds."""

    __slots__ = ("__dict__", "a")


class Closing(Model):
    """Releases something in the end."""

    def __del__(self) -> None:
        """Release it."""


class Listing(list[int]):
    """Has elements beside its attributes."""


class Failure(Exception):
    """Has arguments beside its attributes."""


@pytest.mark.parametrize("kind", [Slotted, Closing, Listing, Failure])
def test_refill_leaves_objects_of_more_than_attributes(kind: Any) -> None:
    assert not refill(kind(), kind())


def test_refill_leaves_the_very_object_as_it_is() -> None:
    both = Model(a=1)
    assert refill(both, both)
    assert vars(both) == {"a": 1}


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

"""What a value holds is found without running any code of its class."""

from __future__ import annotations

import types
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from kernelext.holding import class_attributes, holdings

IN: list[int] = []


class Loud:
    """Raises whatever it is asked."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(name)

    __eq__ = __hash__ = __iter__ = __len__ = __bool__ = __getattribute__  # type: ignore[assignment]


class LoudList(Loud, list):  # type: ignore[misc, type-arg]
    """A list that is not to be asked either."""


class LoudDict(Loud, dict):  # type: ignore[misc, type-arg]
    """A dict that is not to be asked either."""


class Slotted:
    __slots__ = ("__own", "late")

    def __init__(self) -> None:
        self.__own = IN


class Further(Slotted):
    def __init__(self) -> None:
        super().__init__()
        self.more = IN


class Pair(NamedTuple):
    one: list[int]


def around(value: list[int]) -> Callable[[], list[int]]:
    return lambda other=value: value  # type: ignore[misc]


def make_loud() -> Loud:
    made = Loud()
    object.__setattr__(made, "held", IN)
    return made


def paths(value: object) -> list[str]:
    return [
        held.path.format("X", key)
        for held in holdings(value)
        for key, thing in zip(held.keys, held.things, strict=True)
        if thing is IN
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([0, IN], ["X[1]"]),
        (deque([IN]), ["X[0]"]),
        ({1: IN}, ["X[1]"]),
        (OrderedDict({1: IN}), ["X[1]"]),
        (Pair(IN), ["X[0]"]),
        (LoudList([IN]), ["X[0]"]),
        (LoudDict({1: IN}), ["X[1]"]),
        (make_loud(), ["X.held"]),
        (types.SimpleNamespace(a=IN), ["X.a"]),
        (Slotted(), ["X._Slotted__own"]),
        (Further(), ["X.more", "X._Slotted__own"]),
        (IN.append, ["X.__self__"]),
        (IN.__len__, ["X.__self__"]),
        (types.MethodType(print, IN), ["X.__self__"]),
        (property(IN), ["X.fget"]),  # type: ignore[arg-type]
        (staticmethod(IN), ["X.__func__"]),  # type: ignore[arg-type]
        (ValueError(IN).args, ["X[0]"]),
        (around(IN), ["X.__defaults__[0]"]),
        (around(IN).__closure__[0], ["X"]),  # type: ignore[index]
        (Counter(), []),
        (int, []),
        (7, []),
    ],
    ids=lambda value: type(value).__name__,
)
def test_holdings_says_where(value: object, expected: list[str]) -> None:
    assert paths(value) == expected


@pytest.mark.parametrize("kind", [dict, OrderedDict])
@pytest.mark.parametrize("way", ["keys", "values", "items"])
def test_holdings_of_a_view_is_its_mapping(kind: Any, way: str) -> None:
    mapping = kind(a=1)
    assert [held.things for held in holdings(getattr(mapping, way)())] == [[mapping]]
    assert [held.things for held in holdings(types.MappingProxyType(mapping))] == [[mapping]]


def test_holdings_has_the_keys_of_a_dict() -> None:
    key = (1, 2)
    assert [list(held.things) for held in holdings({key: 3})] == [[3], [key]]


def test_class_attributes_are_of_classes_of_the_notebook() -> None:
    notebook: dict[str, Any] = {"__name__": "__main__"}
    exec("class A:\n    a = 1\nclass B(A):\n    b = 2", notebook)
    names = [key for held in class_attributes(notebook["B"]) for key in held.keys]
    assert {"a", "b"} <= set(names)
    assert list(class_attributes(Slotted)) == []

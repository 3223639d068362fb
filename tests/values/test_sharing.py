"""Which variables hold the same object, and what comes of it in bytes."""

from __future__ import annotations

import enum
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from kernelext.errors import ValueCodecError
from kernelext.values import decode, encode_group, holds_itself, in_groups
from kernelext.values.sharing import shared_groups

from .trips import new_namespace


class Color(enum.Enum):
    RED = 1


def test_shared_groups_joins_what_holds_one_object() -> None:
    inner: list[int] = []
    array = np.zeros(2)
    values = {
        "a": inner,
        "n": 5,
        "b": {"x": (inner,)},
        "c": array,
        "d": SimpleNamespace(deep=[{"y": array}]),
        "e": [],
        "f": inner.append,
        "g": ",".join,
    }
    assert shared_groups(values) == [("a", "b", "f"), ("c", "d")]


def test_shared_groups_joins_chains() -> None:
    one, two = [1], [2]
    assert shared_groups({"a": one, "b": two, "c": (one, two)}) == [("a", "b", "c")]


@pytest.mark.parametrize("value", ["text", 7, None, (), Color.RED, len, int, np, (1, "a")])
def test_shared_groups_leaves_apart_what_cannot_change(value: object) -> None:
    assert shared_groups({"a": value, "b": [value]}) == []


def test_shared_groups_joins_what_classes_hold_with_variables_alone() -> None:
    notebook = new_namespace("""
found, bound = [], []
def helper(): pass
class Model:
    made, found, call = [found], {"deep": found}, staticmethod(helper)
    def fit(self, bound=bound): pass
one, two = Model(), Model()
""")
    apart = {name: notebook[name] for name in ("one", "two", "helper", "Model")}
    assert shared_groups(apart) == []
    together = {**apart, "found": notebook["found"]}
    assert shared_groups(together) == [("one", "two", "Model", "found")]
    assert shared_groups({"a": notebook["one"], "b": notebook["bound"]}) == [("a", "b")]


def test_shared_groups_of_a_long_list_ends() -> None:
    long = [[n] for n in range(200_000)]
    assert shared_groups({"a": long, "b": long}) == [("a", "b")]


def together(values: dict[str, Any]) -> dict[str, Any]:
    """Send variables there, as a run does."""
    found: dict[str, Any] = {}
    kept: dict[str, Any] = {}
    for group in in_groups(values):
        for each in encode_group(group, values, {}):
            data = b"".join(each.parts)
            ref = each.ref
            if ref.same_as:
                found[ref.name] = found[ref.same_as]
            else:
                found[ref.name] = decode(ref, data, {}, together=kept)
            again = decode(ref, data, {}, together=dict(found))
            assert repr(again) == repr(values[ref.name])
    return found


def test_encode_group_keeps_names_of_one_object_together() -> None:
    array = np.arange(3.0)
    found = together({"a": array, "b": array, "c": array.copy()})
    assert found["a"] is found["b"]
    assert found["a"] is not found["c"]


def test_encode_group_keeps_nested_objects_together() -> None:
    inner = [1]
    found = together({"a": inner, "b": {"x": inner}, "c": [inner, inner]})
    assert found["b"]["x"] is found["a"]
    assert found["c"][1] is found["a"]


def test_encode_group_names_what_cannot_travel() -> None:
    inner: list[Any] = [(n for n in "ab")]
    values = {"a": inner, "b": {"x": inner}}
    with pytest.raises(ValueCodecError, match=r"`a\[0\]` is a"):
        encode_group(("a", "b"), values, {})


def test_holds_itself_finds_cycles() -> None:
    value: list[Any] = [1]
    assert not holds_itself(value)
    value.append({"deep": [value]})
    assert holds_itself(value)


def test_encode_group_keeps_a_shared_array_in_a_file_of_its_own() -> None:
    array = np.arange(100_000.0)
    values = {"box": {"X": array}, "X": array, "again": array}
    encoded = {each.ref.name: each for each in encode_group(tuple(values), values, {})}
    assert encoded["X"].ref.codec in ("blosc2", "npy")
    assert encoded["again"].ref.file_name == encoded["X"].ref.file_name
    assert encoded["box"].ref.stored_bytes < 1000
    found = together(values)
    assert found["box"]["X"] is found["X"] is found["again"]


def test_encode_group_follows_chains_and_circles() -> None:
    x: list[Any] = [1]
    box = {"x": x}
    a: dict[str, Any] = {"box": box}
    b = {"a": a}
    values = {"b": b, "a": a, "box": box, "x": x}
    refs = {each.ref.name: each.ref for each in encode_group(tuple(values), values, {})}
    assert list(refs) == ["x", "box", "a", "b"]
    assert refs["x"].codec == "json"
    a["b"] = b
    refs = {each.ref.name: each.ref for each in encode_group(tuple(values), values, {})}
    assert refs["a"].is_member
    assert refs["a"].file_name == refs["b"].file_name
    assert refs["x"].codec == "json"
    found = together(values)
    assert found["a"]["b"] is found["b"]
    assert found["b"]["a"] is found["a"]
    assert found["a"]["box"]["x"] is found["x"]


def test_container_without_what_it_holds_is_refused() -> None:
    inner = [1]
    values = {"a": inner, "b": [inner]}
    encoded = encode_group(("a", "b"), values, {})[1]
    with pytest.raises(ValueCodecError, match="holds the variable `a`"):
        decode(encoded.ref, b"".join(encoded.parts), {})

"""Plain values are exact, canonical, and readable as JSON."""

from __future__ import annotations

import collections
import enum
import json
import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelext.values import encode, identity, jsontags

from .trips import joined, there_and_back

SHARED: list[int] = [1]
ITSELF: list[Any] = []
ITSELF.append(ITSELF)
DEEP: list[Any] = []
for _ in range(150):
    DEEP = [DEEP]
ODD_NAN = struct.unpack(">d", bytes.fromhex("fff8000000000123"))[0]


class Colour(enum.IntEnum):
    RED = 1


Point = collections.namedtuple("Point", "x y")


def exact(value: Any) -> Any:
    """Return a form in which equality means the same types, bits and order."""
    kind = type(value).__name__
    if isinstance(value, float):
        return kind, struct.pack(">d", value)
    if isinstance(value, complex):
        return kind, struct.pack(">dd", value.real, value.imag)
    if isinstance(value, dict):
        return kind, [(exact(k), exact(v)) for k, v in value.items()]
    if isinstance(value, (set, frozenset)):
        return kind, sorted((exact(v) for v in value), key=repr)
    if isinstance(value, (list, tuple)):
        return kind, [exact(v) for v in value]
    return kind, value


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.text(st.characters(codec=None, exclude_categories=()))
    | st.binary()
)
keys = st.recursive(leaves, lambda k: st.tuples(k, k) | st.frozensets(k, max_size=3), max_leaves=4)
plain = st.recursive(
    leaves | st.binary().map(bytearray),
    lambda v: (
        st.lists(v, max_size=4)
        | st.lists(v, max_size=4).map(tuple)
        | st.dictionaries(keys, v, max_size=4)
        | st.sets(keys, max_size=4)
        | st.frozensets(keys, max_size=4)
    ),
    max_leaves=12,
)


@given(plain)
def test_plain_value_comes_back_exactly(value: Any) -> None:
    data = jsontags.dumps(value)

    assert exact(jsontags.loads(data)) == exact(value)
    assert jsontags.dumps(jsontags.loads(data)) == data


@pytest.mark.parametrize(
    "value",
    [
        0,
        -(2**63),
        10**5000,
        -(10**5000),
        True,
        None,
        -0.0,
        math.inf,
        -math.inf,
        math.nan,
        ODD_NAN,
        5e-324,
        complex(-0.0, math.nan),
        "",
        "é\u2028\0",
        "\ud83d",
        "\ud83d\ude00",  # two lone surrogates, not one character
        {"\ud83d": 1},
        b"\xff\0",
        bytearray(b"ab"),
        {},
        {"$tuple": [1]},
        {"$": {"$dict": []}},
        {1: "a", "1": "b", (1, 2): "c", None: "d", 2.5: "e", b"k": "f"},
        (),
        ((), [()], {()}),
        {1, "a", 2.5, None, (1, 2), frozenset({b"x"})},
        frozenset(),
        [[], [], ()],
    ],
    ids=lambda v: type(v).__name__,
)
def test_value_is_stored_as_json(value: Any) -> None:
    encoded = encode("x", value, {})

    assert encoded.ref.codec == "json"
    assert encoded.ref.type_name == type(value).__name__
    json.loads(joined(encoded))
    assert exact(there_and_back(value)) == exact(value)


@pytest.mark.parametrize(
    "value",
    [
        [SHARED, SHARED],
        {"a": SHARED, "b": (SHARED,)},
        collections.OrderedDict(a=1),
        collections.Counter("aab"),
        Point(1, [2]),
        Colour.RED,
        list(range(30_000)),
        bytes(2_000_000),
        DEEP,
        [object],
    ],
    ids=lambda v: type(v).__name__,
)
def test_other_value_is_pickled(value: Any) -> None:
    with pytest.raises(jsontags.NotPlain):
        jsontags.dumps(value)

    back = there_and_back(value)

    assert back == value
    assert type(back) is type(value)


def test_sharing_survives() -> None:
    first, second = there_and_back([SHARED, SHARED])
    assert first is second

    loop = there_and_back(ITSELF)
    assert loop[0] is loop


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (1, True),
        ("1", 1),
        (0.0, -0.0),
        ([1], (1,)),
        ({1}, frozenset({1})),
        (b"a", bytearray(b"a")),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({1: 2}, {"1": 2}),
        ({"$tuple": []}, ()),
    ],
    ids=repr,
)
def test_identity_tells_apart(one: Any, other: Any) -> None:
    assert identity("x", one, {}) != identity("x", other, {})


def test_identity_ignores_the_order_of_a_set() -> None:
    some = ["a", "b", "c", 1, 2.5, (1,)]
    assert identity("x", set(some), {}) == identity("x", {*reversed(some)}, {})
    assert identity("x", {0, 8, 16}, {}) == identity("y", {16, 8, 0}, {})


def test_plain_json_stays_plain() -> None:
    assert jsontags.dumps({"a": [1, 2.5, None, "é"]}) == '{"a":[1,2.5,null,"é"]}'.encode()

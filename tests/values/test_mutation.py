"""A value that was changed in place has another identity, however small the change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import xgboost
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression

from kernelext.values import encode, identity

RNG = np.random.default_rng(0)
Change = Callable[[Any], object]


def set_data(value: Any) -> None:
    value.data[-1] += 1


def set_cell(value: Any, content: object) -> None:
    value.iloc[1, 0] = content


def set_index(value: Any) -> None:
    value.indices[0], value.indices[1] = value.indices[1], value.indices[0]


def masked_in_place(value: Any) -> None:
    value.mask[3] = not value.mask[3]


def fitted_again(value: Any) -> None:
    value.fit(np.eye(3), [1, 0, 1])


CHANGES: dict[str, tuple[Callable[[], Any], Change]] = {
    "array": (lambda: np.zeros(5), lambda v: v.__setitem__(4, -0.0)),
    "large array": (lambda: np.zeros(3_000_000), lambda v: v.__setitem__(-1, 1)),
    "strided view": (lambda: np.zeros(10)[::2], lambda v: v.__setitem__(4, 1)),
    "shape": (lambda: np.zeros((2, 3)), lambda v: v.resize((3, 2))),
    "masked array": (lambda: np.ma.MaskedArray(np.zeros(5), np.zeros(5, "?")), masked_in_place),
    "objects": (lambda: np.array([[], 1], object), lambda v: v[0].append(1)),
    "frame": (lambda: pd.DataFrame({"a": [1, 2]}), lambda v: v.__setitem__("b", 1)),
    "frame's cell": (lambda: pd.DataFrame({"a": [1.0, 2]}), lambda v: set_cell(v, 3)),
    "frame's word": (lambda: pd.DataFrame({"a": ["x", "y"]}), lambda v: set_cell(v, "z")),
    "frame's attribute": (lambda: pd.DataFrame({"a": [1]}), lambda v: v.attrs.update(unit="kg")),
    "frame's name": (lambda: pd.DataFrame({"a": [1]}), lambda v: setattr(v.index, "name", "n")),
    "series": (lambda: pd.Series([1, 2]), lambda v: v.iloc.__setitem__(0, 2)),
    "polars": (lambda: pl.DataFrame({"a": [1, 2]}), lambda v: v.__setitem__((0, "a"), 5)),
    "sparse data": (lambda: scipy.sparse.eye_array(4, format="csr"), set_data),
    "sparse index": (lambda: scipy.sparse.csr_array(np.ones((2, 2))), set_index),
    "lil": (lambda: scipy.sparse.eye_array(4, format="lil"), lambda v: v.__setitem__((0, 1), 1)),
    "dok": (lambda: scipy.sparse.eye_array(4, format="dok"), lambda v: v.__setitem__((0, 1), 1)),
    "list in a dict": (lambda: {"a": [1]}, lambda v: v["a"].append(2)),
    "array in a list": (lambda: [np.zeros(20_000)], lambda v: v[0].__setitem__(7, 1)),
    "order of a dict": (lambda: {"a": 1, "b": 2}, lambda v: v.__setitem__("a", v.pop("a"))),
    "bytes": (lambda: bytearray(b"ab"), lambda v: v.__setitem__(0, 1)),
    "model": (lambda: LinearRegression().fit(np.eye(3), [1, 2, 3]), fitted_again),
    "booster": (
        lambda: xgboost.XGBRegressor(n_estimators=2, n_jobs=1).fit(np.eye(3), [1, 2, 3]),
        lambda v: v.set_params(n_estimators=3),
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_change_in_place_is_seen(name: str) -> None:
    make, change = CHANGES[name]
    value = make()
    before = identity("x", value, {})
    assert encode("x", value, {}).ref.identity == before
    assert identity("x", value, {}) == before

    change(value)

    after = encode("x", value, {}).ref.identity
    assert after != before
    assert identity("x", value, {}) == after


@given(st.integers(0, 999_999), st.integers(0, 7), st.sampled_from("CF"))
def test_any_changed_bit_of_an_array_is_seen(place: int, bit: int, order: Any) -> None:
    array = np.zeros((1000, 1000), "u1", order=order)
    before = identity("x", array, {})
    array.reshape(-1, order="A")[place] ^= 1 << bit
    assert identity("x", array, {}) != before
    array.reshape(-1, order="A")[place] ^= 1 << bit
    assert identity("x", array, {}) == before


def test_change_across_the_pieces_of_a_large_array_is_seen() -> None:
    array = np.arange(3 * 2**20 + 1.0)
    seen = {identity("x", array, {})}
    for place in (0, 2**20 - 1, 2**20, 2 * 2**20, -1):
        array[place] += 0.5
        seen.add(identity("x", array, {}))
    array[: 2**20], array[2**20 : 2**21] = array[2**20 : 2**21].copy(), array[: 2**20].copy()
    seen.add(identity("x", array, {}))
    assert len(seen) == 7

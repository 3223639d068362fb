"""Tables of pandas, polars and pyarrow come back exactly, as Arrow wherever Arrow is exact."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import hypothesis.extra.pandas as pdst
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelext.values import encode, identity, pandas_labels

from .trips import joined, there_and_back

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {"a": [1, 2, 3], "f": [1.0, np.nan, -0.0], "s": ["x", None, "zz"], "b": [True, False, True]}
)
DATES = pd.date_range("2020-01-31", periods=3, freq="ME", tz="Europe/Paris", name="t")


def objects(*values: Any) -> pd.DataFrame:
    return pd.DataFrame({"o": pd.Series(values, dtype=object)})


def same(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    if isinstance(other, pd.Index):
        assert pandas_labels.same_index(one, other)
        return
    assert one.attrs == other.attrs
    assert one.flags.allows_duplicate_labels == other.flags.allows_duplicate_labels
    assert pandas_labels.same_index(one.index, other.index)
    if isinstance(other, pd.Series):
        assert (one.name, type(one.name)) == (other.name, type(other.name))
        one, other = one.to_frame("v"), other.to_frame("v")
    assert pandas_labels.same_index(one.columns, other.columns)
    for k in range(len(other.columns)):
        a, b = one.iloc[:, k], other.iloc[:, k]
        assert a.dtype == b.dtype
        if b.dtype == object:
            assert list(map(repr, a)) == list(map(repr, b))
        else:
            assert pandas_labels.same_array(a.array, b.array)


EXACT: dict[str, Any] = {
    "frame": FRAME,
    "time zone and frequency": FRAME.set_index(DATES),
    "two levels": FRAME.set_index(["a", "s"]),
    "two levels of columns": pd.DataFrame(
        RNG.normal(size=(4, 4)),
        columns=pd.MultiIndex.from_product([["b", "a"], [1, 2]], names=["u", None]),
    ),
    "numbered columns": pd.DataFrame(np.eye(3)),
    "doubled columns": pd.DataFrame(np.eye(2), columns=["a", "a"]),
    "nullable": pd.DataFrame(
        {
            "I": pd.array([1, None], "Int64"),
            "F": pd.array([1.5, None], "Float32"),
            "B": pd.array([True, None], "boolean"),
            "S": pd.array(["a", None], "string"),
        }
    ),
    "categories": pd.DataFrame(
        {
            "c": pd.Categorical(["x", "y"], ["y", "x", "z"], ordered=True),
            "n": pd.Categorical([1, None]),
        }
    ),
    "periods and intervals": pd.DataFrame(
        {"p": pd.period_range("2020", periods=2, freq="M"), "i": pd.interval_range(0, 2)}
    ),
    "dates": pd.DataFrame(
        {
            "ns": pd.to_datetime(["2020-01-01", None]),
            "s": pd.array(["2020-01-01"] * 2, "datetime64[s]"),
            "td": pd.to_timedelta([1, None], unit="s"),
        }
    ),
    "objects": objects("a", None, "b"),
    "objects and NaN": objects("a", np.nan),
    "bytes": objects(b"a", b""),
    "small numbers": pd.DataFrame({"h": np.array([1, 2], "f2"), "u": np.array([1, 2], "u1")}),
    "nothing": pd.DataFrame(),
    "no rows": FRAME.iloc[:0],
    "no columns": pd.DataFrame(index=[3, 4]),
    "no columns, numbered": pd.DataFrame(index=range(4)),
    "slice": FRAME.iloc[1:],
    "every second": FRAME.iloc[::2],
    "name of the columns": FRAME.rename_axis(columns="cols"),
    "flags": FRAME.set_flags(allows_duplicate_labels=False),
    "series": FRAME["s"],
    "series without a name": pd.Series([1.5, np.nan]),
    "series with a tuple for a name": pd.Series([1], name=("a", 1)),
    "index": pd.Index(["a", "b"], name="n"),
    "index with a tuple for a name": pd.Index([1], name=("a", 1)),
    "rows with a number for a name": FRAME.set_index(pd.Index([1, 2, 3], name=7)),
    "range with a tuple for a name": FRAME.set_index(pd.RangeIndex(3, name=("a", 1))),
    "no columns and a tuple for a name": pd.DataFrame(index=pd.RangeIndex(3, name=("a", 1))),
    "levels with odd names": FRAME.set_index(
        pd.MultiIndex.from_arrays([[1, 2, 3], [4, 5, 6], DATES], names=[("a", None), "k", None])
    ),
    "series whose rows have a tuple for a name": FRAME.set_index(
        pd.Index(["x", "y", "z"], name=("s", 1))
    )["f"],
    "odd names of columns": FRAME.rename_axis(columns=[("a", 1)]),
    "range": pd.RangeIndex(2, 9, 3, name="q"),
    "index of dates": DATES,
    "index of two levels": FRAME.set_index(["a", "s"]).index,
    "summary": FRAME.groupby("b").agg({"a": ["sum", "mean"]}),
}
OTHER: dict[str, Any] = {
    "mixed objects": objects("a", 1, (2,)),
    "None and NaN": objects("a", None, np.nan),
    "date objects": objects(datetime.date(2020, 1, 1)),
    "surrogate": objects("\ud800"),
    "complex": pd.DataFrame({"c": [1j]}),
    "big-endian": pd.DataFrame({"c": np.array([1, 2], ">f8")}),
    "sparse": pd.DataFrame({"c": pd.arrays.SparseArray([0, 0, 1])}),
    "unused level": FRAME.set_index(["a", "s"]).iloc[:1],
    "an attribute that is no plain value": pd.DataFrame({"a": [1]}),
}
OTHER["a name that is no plain value"] = pd.Index([1], name=datetime.date(2020, 1, 1))
OTHER["an attribute that is no plain value"].attrs["when"] = datetime.date(2020, 1, 1)
EXACT["flags"].attrs["unit"] = ("kg", 1)


@pytest.mark.parametrize("name", EXACT)
def test_pandas_value_comes_back_by_arrow(name: str) -> None:
    back = there_and_back(EXACT[name])

    assert encode("x", EXACT[name], {}).ref.codec == "arrow"
    same(back, EXACT[name])
    assert identity("x", back, {}) == identity("x", EXACT[name], {})


@pytest.mark.parametrize("name", OTHER)
def test_what_arrow_would_change_is_pickled(name: str) -> None:
    assert encode("x", OTHER[name], {}).ref.codec == "pickle"
    same(there_and_back(OTHER[name]), OTHER[name])


columns = st.lists(
    st.sampled_from(["f8", "f4", "i8", "u1", "?", "M8[ns]", "U"]), min_size=1, max_size=4
).flatmap(
    lambda kinds: pdst.data_frames(
        [
            pdst.column(str(k), elements=st.none() | st.text(max_size=3), dtype=object)
            if kind == "U"
            else pdst.column(str(k), dtype=kind)
            for k, kind in enumerate(kinds)
        ],
        index=pdst.range_indexes(max_size=5) | pdst.indexes(dtype="i8", max_size=5),
    )
)


@settings(max_examples=60, deadline=None)
@given(columns)
def test_any_frame_comes_back(frame: pd.DataFrame) -> None:
    back = there_and_back(frame)

    same(back, frame)
    assert identity("x", back, {}) == identity("x", frame, {})
    if len(frame):
        assert identity("x", frame.iloc[:-1], {}) != identity("x", frame, {})


def test_bits_of_numbers_stay() -> None:
    odd = np.array([np.nan, -0.0, np.nan])
    odd.view("u8")[2] += 1
    back = there_and_back(pd.DataFrame({"f": odd}))
    assert back["f"].to_numpy().tobytes() == odd.tobytes()
    back.loc[0, "f"] = 1.0  # writable


def test_what_lies_below_a_missing_number_does_not_count() -> None:
    missing = np.array([False, True])
    one = pd.arrays.IntegerArray(np.array([1, 7]), missing)
    other = pd.arrays.IntegerArray(np.array([1, 9]), missing)
    frames = [pd.DataFrame({"a": each}) for each in (one, other)]
    assert identity("x", frames[0], {}) == identity("x", frames[1], {})


def test_file_opens_with_pyarrow_pandas_and_polars_alone(tmp_path: Path) -> None:
    frame = pd.DataFrame({"n": np.arange(5_000), "s": ["word"] * 5_000})
    (tmp_path / "x").write_bytes(joined(encode("x", frame, {})))

    assert pa.ipc.open_file(tmp_path / "x").read_all().column("n").to_pylist()[-1] == 4_999
    assert pd.read_feather(tmp_path / "x")["s"].iloc[0] == "word"
    assert pl.read_ipc(tmp_path / "x")["n"].sum() == frame["n"].sum()


def test_image_without_pyarrow_gets_a_pickle() -> None:
    abilities = ("numpy", "pandas")
    encoded = encode("x", FRAME, {}, abilities=abilities)
    assert (encoded.ref.codec, encoded.lacking) == ("pickle", ("pyarrow",))
    assert encoded.ref.identity == identity("x", FRAME, {})
    same(there_and_back(FRAME, abilities=abilities), FRAME)


TABLE = pa.table({"a": [1, None], "s": ["a", "b"], "l": [[1], [2, 3]]})
ARROW: dict[str, Any] = {
    "table": TABLE.replace_schema_metadata({"x": "y"}),
    "batch": TABLE.to_batches()[0],
    "empty batch": TABLE.to_batches()[0].slice(0, 0),
    "array": pa.array([1, None]),
    "empty array": pa.array([], pa.int8()),
    "chunked": pa.chunked_array([["a"], ["b", None]]),
    "dictionary": pa.array(["a", "b"]).dictionary_encode(),
    "struct": pa.array([{"a": 1}, None]),
    "types": pa.table(
        {
            "d": pa.array([1, None], pa.decimal128(5, 2)),
            "b": pa.array([True, None]),
            "h": pa.array([1.0, None], pa.float16()),
            "t": pa.array([1, None], pa.timestamp("ns", "UTC")),
            "i": pa.array([None, None], pa.month_day_nano_interval()),
        }
    ),
}


@pytest.mark.parametrize("name", ARROW)
def test_arrow_value_comes_back(name: str) -> None:
    value = ARROW[name]
    back = there_and_back(value)

    assert encode("x", value, {}).ref.codec == "arrow"
    assert type(back) is type(value)
    assert back.equals(value)
    if hasattr(value, "schema"):
        assert back.schema.equals(value.schema, check_metadata=True)


POLARS = pl.DataFrame(
    {
        "a": [1, None],
        "s": ["x", "y"],
        "c": pl.Series(["u", "v"], dtype=pl.Categorical),
        "e": pl.Series(["u", "v"], dtype=pl.Enum(["v", "u"])),
        "l": [[1], None],
        "t": [datetime.date(2020, 1, 1), None],
    }
)


@pytest.mark.parametrize("value", [POLARS, POLARS[:0], pl.DataFrame()], ids=str)
def test_polars_frame_comes_back(value: pl.DataFrame, tmp_path: Path) -> None:
    back = there_and_back(value)
    encoded = encode("x", value, {})
    (tmp_path / "x").write_bytes(joined(encoded))

    assert encoded.ref.codec == "polars"
    assert back.equals(value)
    assert back.schema == value.schema
    assert pa.ipc.open_file(tmp_path / "x").read_all().column_names == value.columns


@pytest.mark.parametrize("column", POLARS.columns)
def test_polars_series_comes_back(column: str) -> None:
    back = there_and_back(POLARS[column])
    assert isinstance(back, pl.Series)
    assert (back.name, back.dtype) == (column, POLARS[column].dtype)
    assert back.equals(POLARS[column], null_equal=True)


def test_pickled_strings_need_no_pyarrow() -> None:
    held = {"frame": FRAME, "index": pd.Index(["a", "b"]), "S": pd.array(["a", None], "string")}
    encoded = encode("x", held, {})
    back = there_and_back(held)

    assert b"pyarrow" not in joined(encoded)
    same(back["frame"], FRAME)
    same(back["index"], held["index"])
    assert pandas_labels.same_array(back["S"], held["S"])

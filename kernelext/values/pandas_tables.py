"""Frames, series and indexes of pandas to Arrow tables and back, exactly or not at all."""

from __future__ import annotations

import functools
import sys
from typing import Any

from kernelext.values import pandas_labels
from kernelext.values.form import NotExact

PLAIN_KINDS = "biuf"  # numpy's own, which Arrow holds bit by bit
VALUE = "value"


def kind_of(value: object) -> str:
    """Return ``pandas.DataFrame``, ``pandas.Series``, ``pandas.Index``, or nothing."""
    pandas = sys.modules.get("pandas")
    if pandas is None:
        return ""
    if type(value) in (pandas.DataFrame, pandas.Series):
        return f"pandas.{type(value).__name__}"
    is_own = type(value).__module__.partition(".")[0] == "pandas"
    return "pandas.Index" if is_own and isinstance(value, pandas.Index) else ""


def to_table(value: Any) -> tuple[Any, dict[str, Any]]:
    """Return the Arrow table, and what Arrow has no place for.

    Raises
    ------
    NotExact, ArrowException, ValueError, TypeError
        What comes back would not be the same.
    """
    import pandas
    import pyarrow as pa

    kind = kind_of(value)
    held: dict[str, Any] = {"kind": kind}
    if kind != "pandas.Index":
        held["attrs"] = dict(value.attrs)
        held["duplicates"] = bool(value.flags.allows_duplicate_labels)
    frame = _as_frame(value, kind, held)
    held["freqs"] = [pandas_labels.freq_of(level) for level in _levels(frame.index)]
    if isinstance(frame.index, pandas.RangeIndex):
        held["index"] = pandas_labels.spec_of(frame.index)
    held["columns"] = pandas_labels.spec_of(frame.columns)
    named = frame.set_axis(pandas_labels.unique_names(frame.columns), axis=1)
    held["objects"] = _objects(named)
    if not all(name is None or type(name) is str for name in frame.index.names):
        # pyarrow would make texts of them, and warn.
        held["index_names"] = list(frame.index.names)
        named.index = named.index.set_names([None] * frame.index.nlevels)
    table = pa.Table.from_pandas(named)
    odd = []
    for k, name in enumerate(named.columns):
        values = named.iloc[:, k]
        if not _is_plain(values.dtype):
            odd.append(k)
        elif table.column(k).null_count:  # a NaN is a number here, with all its bits
            field = pa.field(name, table.schema.field(k).type)
            table = table.set_column(k, field, pa.array(values.to_numpy()))
    _check(frame, table, odd, held)
    return table, held


def from_table(table: Any, held: dict[str, Any]) -> Any:
    """Return the value that `to_table` was given."""
    frame = _as_pandas(table, held)
    kind = held["kind"]
    if kind == "pandas.Index":
        return frame.index
    made = frame
    if kind == "pandas.Series":
        made = frame[VALUE]
        made.name = held["name"]
    else:
        made.columns = pandas_labels.index_of(held["columns"])
    made.attrs = held["attrs"]
    made.flags.allows_duplicate_labels = held["duplicates"]
    return made


@functools.cache
def register_types() -> None:
    """Have pandas tell pyarrow its types of periods and intervals.

    It does so when it first writes one. Until then pyarrow reads them as numbers.
    """
    import pandas
    import pyarrow as pa

    pa.array(pandas.PeriodIndex([], freq="D"))


def _as_frame(value: Any, kind: str, held: dict[str, Any]) -> Any:
    import pandas

    if kind == "pandas.Index":
        return pandas.DataFrame(index=value)
    plain = value.copy(deep=False)
    plain.attrs = {}
    plain.flags.allows_duplicate_labels = True
    if kind == "pandas.Series":
        held["name"] = value.name
        return plain.to_frame(VALUE)
    return plain


def _objects(frame: Any) -> dict[str, str]:
    """Say of the columns of objects what stands for nothing: None, or NaN."""
    found = {}
    for k, name in enumerate(frame.columns):
        values = frame.iloc[:, k]
        if values.dtype == object:
            has_none = any(item is None for item in values[values.isna()])
            found[name] = "none" if has_none else "nan"
    return found


def _as_pandas(table: Any, held: dict[str, Any]) -> Any:
    """Return the table as a frame; its columns have their texts for labels."""
    import pandas

    if not table.num_columns and "index" in held:  # a file without columns has no rows either
        return pandas.DataFrame(index=pandas_labels.index_of(held["index"]))
    names = [name for name in table.column_names if name in held["objects"]]
    frame = table.drop_columns(names).to_pandas() if names else table.to_pandas()
    for name in names:
        values = _object_column(table.column(name), held["objects"][name])
        column = pandas.Series(values, index=frame.index, dtype=object)
        frame.insert(table.column_names.index(name), name, column)
    if "index_names" in held:
        frame.index.names = held["index_names"]
    for level, freq in zip(_levels(frame.index), held["freqs"]):
        if freq is not None:
            level.freq = freq
    return frame


def _object_column(column: Any, missing: str) -> Any:
    import numpy as np
    import pyarrow as pa

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        values = column.to_numpy(zero_copy_only=False)
    else:
        values = np.empty(len(column), object)
        values[:] = column.to_pylist()
    if column.null_count:
        values = values.copy()
        values[column.is_null().to_numpy()] = None if missing == "none" else float("nan")
    return values


def _check(frame: Any, table: Any, odd: list[int], held: dict[str, Any]) -> None:
    """Raise unless all that is not plainly exact comes back the same."""
    if not pandas_labels.same_index(pandas_labels.index_of(held["columns"]), frame.columns):
        raise NotExact
    empty = _as_pandas(table.slice(0, 0), {**held, "freqs": []})
    if list(empty.dtypes) != list(frame.dtypes):
        raise NotExact
    index_columns = range(len(frame.columns), table.num_columns)
    back = _as_pandas(table.select([*odd, *index_columns]), held)
    if not pandas_labels.same_index(back.index, frame.index):
        raise NotExact
    for place, k in enumerate(odd):
        if not pandas_labels.same_array(back.iloc[:, place].array, frame.iloc[:, k].array):
            raise NotExact


def _is_plain(dtype: Any) -> bool:
    import numpy as np

    return isinstance(dtype, np.dtype) and dtype.kind in PLAIN_KINDS and dtype.isnative


def _levels(index: Any) -> list[Any]:
    return list(index.levels) if hasattr(index, "levels") else [index]

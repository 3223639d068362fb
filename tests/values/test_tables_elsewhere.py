"""Tables come back exactly from a process that has read nothing before, and so do its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from kernelext.models import ValueRef, to_json
from kernelext.values import decode, encode

from .test_tables import same
from .trips import ROOT, joined

# A library registers its extension types when it first needs them. So every value is read by a
# process of its own: a copy of one that has imported the libraries, and read nothing.
FRESH = """
import json, os, sys
import cloudpickle, pandas, pyarrow.compute, pyarrow.pandas_compat
from kernelext.models import ValueRef, to_json
from kernelext.values import decode, encode
os.chdir(sys.argv[1])
for k, ref in enumerate(json.load(open("refs"))):
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        continue
    value = decode(ValueRef.from_json(ref), f"{k}.there", {})
    made = encode("x", value, {})
    open(f"{k}.back", "wb").write(b"".join(made.parts))
    json.dump(to_json(made.ref), open(f"{k}.ref", "w"))
    os._exit(0)
"""

QUARTERS = pd.period_range("2020", periods=2, freq="Q", name="q")
DAYS = pd.period_range("2020", periods=2, freq="D")
SPANS = pd.interval_range(0, 2, closed="left", name="span")
TIMES = pd.date_range("2020", periods=2, freq="D", tz="Europe/Paris", name="t")
KINDS: dict[str, pd.Index] = {
    "period": QUARTERS,
    "period with a gap": pd.PeriodIndex(["2020-01", None], freq="M"),
    "interval": SPANS,
    "interval of floats": pd.IntervalIndex.from_breaks([0.5, 1.5, np.inf], closed="both"),
    "interval with a gap": pd.IntervalIndex.from_arrays([0.0, np.nan], [1.0, np.nan]),
    "interval of times": pd.interval_range(pd.Timestamp("2020"), periods=2, freq="D"),
    "interval of times with a zone": pd.interval_range(TIMES[0], periods=2, freq="D"),
    "categories": pd.CategoricalIndex(["b", "a"], ["b", "a", "c"], ordered=True),
    "categories of periods": pd.CategoricalIndex(QUARTERS),
    "categories of intervals": pd.CategoricalIndex(pd.cut([1, 7], [0, 5, 10])),
    "categories of times": pd.CategoricalIndex(TIMES),
    "time zone": TIMES,
    "durations": pd.timedelta_range("1h", periods=2, freq="h"),
    "strings": pd.Index(["a", None], dtype="str"),
    "nullable strings": pd.Index(["a", None], dtype="string"),
    "objects": pd.Index(["a", None], dtype=object),
    "nullable integers": pd.Index([1, None], dtype="Int16"),
    "nullable floats": pd.Index([1.5, None], dtype="Float64"),
    "nullable truth": pd.Index([True, None], dtype="boolean"),
    "Arrow's own": pd.Index([1, None], dtype=pd.ArrowDtype(pa.int32())),
    "sparse": pd.Index(pd.arrays.SparseArray([0, 1])),
    "levels": pd.MultiIndex.from_arrays([QUARTERS, SPANS, TIMES]),
    "levels of categories": pd.MultiIndex.from_arrays(
        [pd.CategoricalIndex(QUARTERS), pd.CategoricalIndex(SPANS), pd.Index(["a", "b"])]
    ),
    "levels of nullables": pd.MultiIndex.from_arrays(
        [pd.Index([1, None], dtype="Int64"), pd.Index(["a", None], dtype="string"), DAYS]
    ),
    "levels with gaps": pd.MultiIndex.from_arrays(
        [pd.PeriodIndex(["2020-01", None], freq="M"), pd.Index([None, 1.5])]
    ),
}


def elsewhere(folder: Path, values: list[Any]) -> list[Any]:
    """Return what each value is after it was read and written by a fresh process."""
    refs = []
    for k, value in enumerate(values):
        encoded = encode("x", value, {})
        (folder / f"{k}.there").write_bytes(joined(encoded))
        refs.append(to_json(encoded.ref))
    (folder / "refs").write_text(json.dumps(refs))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", FRESH, str(folder)]
    subprocess.run(command, check=True, env=environment, timeout=60)
    found = []
    for k, ref in enumerate(refs):
        made = ValueRef.from_json(json.loads((folder / f"{k}.ref").read_text()))
        assert made.codec == ref["codec"]
        assert made.codec == "pickle" or made.identity == ref["identity"]
        found.append(decode(made, folder / f"{k}.back", {}))
    return found


@pytest.mark.parametrize("place", ["bare", "rows", "columns", "column", "series"])
def test_every_kind_of_label_comes_back(place: str, tmp_path: Path) -> None:
    values: dict[str, Any] = {}
    for name, index in KINDS.items():
        if place == "bare":
            values[name] = index
        elif place == "rows":
            values[name] = pd.DataFrame({"a": [1, 2]}, index=index)
        elif place == "columns":
            values[name] = pd.DataFrame(np.eye(2), columns=index)
        elif place == "series":
            values[name] = pd.Series([1.5, None], index=index, name="s")
        elif index.nlevels == 1:
            values[name] = pd.DataFrame({"a": index.array, "b": [1, 2]})
    for back, value in zip(
        elsewhere(tmp_path, list(values.values())), values.values(), strict=True
    ):
        same(back, value)


def test_tables_of_pyarrow_come_back(tmp_path: Path) -> None:
    periods = pa.array(QUARTERS)
    tables = [
        pa.table({"p": periods, "i": pa.array(SPANS)}),
        pa.table({"p": periods}).to_batches()[0],
        pa.chunked_array([periods]),
        pa.table({"u": pa.array([bytes(16), None], pa.uuid())}),
        pa.table({"nested": pa.ListArray.from_arrays([0, 1, 2], periods)}),
    ]
    for back, table in zip(elsewhere(tmp_path, tables), tables, strict=True):
        assert type(back) is type(table)
        assert back.equals(table)

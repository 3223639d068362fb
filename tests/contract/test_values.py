"""Values on any host: every kind there and back, its file, its refusal, its change."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path

import blosc2
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
import tables
import ubjson
import xgboost

from kernelext.history import History, history_path
from kernelext.models import JOURNAL_NAME, ValueRef
from kernelext.runs import sending
from kernelext.runs.fitting import Advice
from kernelext.runs.journal import VALUES_NAME, read_journal

from .notebook import Notebook

MADE = """\
import numpy as np, pandas as pd, scipy.sparse as sp, xgboost, math
rng = np.random.default_rng(0)
dense = rng.poisson(2, (600, 500)).astype("f8")
matrix = sp.random_array((2000, 300), density=0.05, format="csr", rng=rng)
frame = pd.DataFrame({"n": [1, 2], "s": ["a", None]}, index=pd.Index([5, 6], name="k"))
booster = xgboost.XGBRegressor(n_estimators=2, n_jobs=1).fit(np.eye(4), [1, 2, 3, 4])
plain = {"a": (1, None, math.nan, -0.0, 2**80), "b": {b"x", "y"}}
gathered = {"noise": rng.normal(size=200_000), "counts": dense + 1}
"""
CODECS = {
    "dense": "blosc2",
    "matrix": "hdf5",
    "frame": "arrow",
    "booster": "ubjson",
    "plain": "json",
    "gathered": "pickle_zip",
}


@pytest.fixture(params=["local"])
def host(request: pytest.FixtureRequest) -> str:
    """The notebook's own environment has all the libraries."""
    name: str = request.param
    return name


def test_every_kind_of_value_comes_back(notebook: Notebook, host: str) -> None:
    notebook.check(MADE)
    names = list(CODECS)
    before = {name: repr(notebook.names[name]) for name in names}
    moved = "; ".join(f"{name}_back = {name}" for name in names)
    shown = notebook.check(f"%%remote {host}\n{moved}\nkinds = [type(v).__name__ for v in [dense]]")

    assert shown.stderr == ""
    for name in names:
        assert repr(notebook.names[name]) == before[name]
        assert repr(notebook.names[f"{name}_back"]) == before[name]
        assert type(notebook.names[f"{name}_back"]) is type(notebook.names[name])
    here, back = notebook.names["matrix"], notebook.names["matrix_back"]
    assert back.data.tobytes() == here.data.tobytes()
    assert notebook.names["gathered_back"]["noise"].tobytes() == (
        notebook.names["gathered"]["noise"].tobytes()
    )


def test_labels_that_are_periods_or_spans_come_back(notebook: Notebook, host: str) -> None:
    notebook.check(
        "import pandas as pd\nrows = pd.period_range('2020', periods=2, freq='Q')\n"
        "P = pd.DataFrame({'a': [1, 2]}, index=rows)\nS = pd.Series([1], pd.interval_range(0, 1))"
    )
    notebook.check(f"%%remote {host}\nkinds = [str(P.index.dtype), str(S.index.dtype)]")
    notebook.check(f"%%remote {host}\nQ = P.copy(); T = S.copy(); labels = rows[:1]")

    names = notebook.names
    assert names["kinds"] == ["period[Q-DEC]", "interval[int64, right]"]
    pd.testing.assert_frame_equal(names["Q"], names["P"])
    pd.testing.assert_series_equal(names["T"], names["S"])
    pd.testing.assert_index_equal(names["labels"], names["rows"][:1])


def test_names_of_rows_that_are_no_texts_come_back_silently(notebook: Notebook, host: str) -> None:
    notebook.check("import pandas as pd\nrows = pd.Index([5], name=('a', 1))")
    shown = notebook.check(f"%%remote {host}\nframe = pd.DataFrame({{'n': [1]}}, rows)")

    assert shown.stderr == ""
    assert notebook.names["frame"].index.names == [("a", 1)]


def test_aligned_structures_come_back(notebook: Notebook, host: str) -> None:
    notebook.check("import numpy as np\nkind = np.dtype([('a', 'i1'), ('b', 'f8')], align=True)")
    notebook.check("there = np.array([(1, 2.5)], kind)")
    notebook.check(f"%%remote {host}\nis_kept = there.dtype.isalignedstruct\nback = there.copy()")

    back = notebook.names["back"]
    assert notebook.names["is_kept"]
    assert back.dtype.isalignedstruct
    assert back.tolist() == [(1, 2.5)]


def test_files_of_a_run_open_without_us(notebook: Notebook, host: str, data_dir: Path) -> None:
    notebook.check(f"%%remote {host}\n{MADE}")
    files = values_of_last_run(data_dir)

    assert {name: codec for name, (codec, _) in files.items() if name in CODECS} == CODECS
    names = notebook.names
    content = {name: data for name, (_, data) in files.items()}
    assert np.array_equal(blosc2.ndarray_from_cframe(content["dense"])[...], names["dense"])
    with tables.open_file(
        "x.h5", driver="H5FD_CORE", driver_core_image=content["matrix"], driver_core_backing_store=0
    ) as file:
        parts = [file.get_node("/", each)[:] for each in ("data", "indices", "indptr")]
    opened = scipy.sparse.csr_array(tuple(parts), shape=names["matrix"].shape)
    assert (opened != names["matrix"]).nnz == 0
    table = pa.ipc.open_file(pa.py_buffer(content["frame"])).read_all()
    assert table.column("n").to_pylist() == [1, 2]
    assert "learner" in ubjson.loadb(content["booster"])
    alone = xgboost.Booster()
    alone.load_model(bytearray(content["booster"]))
    assert alone.num_boosted_rounds() == 2
    assert json.loads(content["plain"])["a"]["$tuple"][0] == 1
    with zipfile.ZipFile(io.BytesIO(content["gathered"])) as archive:
        frames = [archive.read(each) for each in archive.namelist() if each.endswith(".b2nd")]
    assert (names["dense"] + 1).tobytes() in [
        blosc2.ndarray_from_cframe(frame)[...].tobytes() for frame in frames
    ]


def values_of_last_run(data_dir: Path) -> dict[str, tuple[str, bytes]]:
    """Return codec and bytes of every value that the last run brought home."""
    with History.open(history_path(os.environ)) as history:
        run = history.run("last")
    (journal,) = data_dir.rglob(f"{run.id}/0/1/{JOURNAL_NAME}")
    found = {}
    for event in read_journal(journal):
        if event.kind == "value":
            ref = ValueRef.from_json(event.header["ref"])
            path = journal.parent / VALUES_NAME / ref.file_name
            found[ref.name] = ref.codec, path.read_bytes() if path.exists() else event.body
    return found


CANNOT = {
    "lock": ("import threading\nheld = {'a': [threading.Lock()]}", "`held['a'][0]`"),
    "file": (
        "from types import SimpleNamespace as N\n"
        "held = N(callbacks=[N(file=open('log.txt', 'w'))])",
        "`held.callbacks[0].file` is an open file",
    ),
    "generator": ("held = [(n for n in range(3))]", "`held[0]` is a generator"),
}


def names_of(notebook: Notebook) -> dict[str, int]:
    return {
        name: id(value)
        for name, value in notebook.names.items()
        if name not in notebook.shell.user_ns_hidden and not name.startswith("_")
    }


@pytest.mark.parametrize("kind", CANNOT)
def test_what_cannot_travel_is_named_before_anything_moves(
    notebook: Notebook, host: str, kind: str, project: Path
) -> None:
    notebook.check(f"%%remote {host}\nfirst = 1")
    made, words = CANNOT[kind]
    notebook.check(made + "\nlarge = bytes(300_000)")
    before = names_of(notebook)
    shown = notebook.run(f"%%remote {host}\nn = len(large)\nheld\nfirst = 2")

    assert words in str(shown.error)
    assert names_of(notebook) == before
    with History.open(history_path(os.environ)) as history:
        run = history.run("last")
        assert run.sent_bytes < 1_000
    if kind == "file":
        notebook.names["held"].callbacks[0].file.close()


CHANGES = {  # a name: how it is made, how it is changed in place, whether it was
    "array": ("np.zeros(400_000)", "[7] = 1", "array[7] == 1"),
    "frame": ("pd.DataFrame({'a': [1, 2]})", "['b'] = 3", "len(frame.columns) == 2"),
    "matrix": ("sp.eye_array(5, format='csr')", ".data[0] = 7", "matrix.data[0] == 7"),
    "listed": ("{'a': [1]}", "['a'].append(2)", "listed == {'a': [1, 2]}"),
    "held": ("{'a': np.zeros(90_000)}", "['a'][3] = 1", "held['a'][3] == 1"),
}


@pytest.mark.parametrize("where", ["here", "there"])
def test_change_in_place_is_seen(notebook: Notebook, host: str, where: str) -> None:
    imports = "import numpy as np, pandas as pd, scipy.sparse as sp\n"
    notebook.check(imports + "\n".join(f"{k} = {made}" for k, (made, _, _) in CHANGES.items()))
    tests = ", ".join(f"bool({test})" for _, _, test in CHANGES.values())
    ask = f"%%remote {host}\nfound = [{tests}]"
    notebook.check(ask)
    assert not any(notebook.names["found"])
    # By another name: only comparing finds it.
    changes = "\n".join(f"w = {k}\nw{change}" for k, (_, change, _) in CHANGES.items())
    notebook.check(changes if where == "here" else f"%%remote {host}\n{changes}\ndel w")
    for _, _, test in CHANGES.values():
        assert notebook.check(f"bool({test})").results[0]["text/plain"] == "True"
    notebook.check(ask)
    assert all(notebook.names["found"])


def test_unchanged_values_stay(notebook: Notebook, host: str) -> None:
    notebook.check(MADE)
    before = {name: id(notebook.names[name]) for name in CODECS}
    sizes = "; ".join(f"len(str({name}))" for name in CODECS)
    shown = notebook.check(f"%%remote {host}\n{sizes}\nbooster.predict(np.eye(4))")
    assert shown.stderr == ""
    assert {name: id(notebook.names[name]) for name in CODECS} == before


LESS = """\
import numpy as np, pandas as pd, scipy.sparse as sp
frame = pd.DataFrame({"s": ["a", None]}, index=pd.date_range("2020", periods=2, freq="D"))
matrix = sp.eye_array(2000, format="dia")
"""


def test_image_with_less_gets_plainer_forms(
    lab_notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "ADVICE", Advice())
    lab_notebook.check(LESS)
    cell = "%%remote host01\nframe_back = frame\nmatrix_back = matrix * 2"
    said = lab_notebook.check(cell).stderr.splitlines()

    assert len(said) == 2
    assert any("frame travels" in line and "add pyarrow to the image" in line for line in said)
    assert any("matrix travels" in line and "add tables to the image" in line for line in said)
    assert lab_notebook.check(cell).stderr == ""
    pd.testing.assert_frame_equal(lab_notebook.names["frame_back"], lab_notebook.names["frame"])
    assert type(lab_notebook.names["matrix_back"]) is type(lab_notebook.names["matrix"])
    assert lab_notebook.names["matrix_back"].sum() == 4000


def test_library_that_the_image_lacks_is_named_before_anything_moves(
    lab_notebook: Notebook,
) -> None:
    lab_notebook.check("import pyarrow as pa\ntable = pa.table({'a': [1]})")
    shown = lab_notebook.run("%%remote host01\ntable.num_rows")
    assert "`table` (`Table`) needs pyarrow" in str(shown.error)
    assert "--image" in str(shown.error)


def test_one_object_of_many_names_counts_once(notebook: Notebook, project: Path) -> None:
    config = Path(os.environ["KERNELEXT_CONFIG"])
    config.write_text('upload_limit = "1MB"\n' + config.read_text())
    notebook.check("import numpy as np\nx = y = z = np.arange(75_000.0)")
    notebook.check("%%remote local\ntotal = x[1] + y[1] + z[1]")
    assert notebook.names["total"] == 3.0


def test_what_is_shared_has_a_file_of_its_own(notebook: Notebook, host: str) -> None:
    notebook.check("import numpy as np\nX = np.arange(75_000.0)\nbox = {'X': X}\nold = X")
    notebook.check(f"%%remote {host}\nassert box['X'] is X\nX[0] = 7\nfresh = [box, X]")
    names = notebook.names
    assert names["X"] is names["old"] is names["box"]["X"]
    assert names["fresh"][0] is names["box"]
    assert names["fresh"][1] is names["X"]
    assert names["X"][0] == 7
    with History.open(history_path(os.environ)) as history:
        run = history.run("last").id
    journal = Path(os.environ["KERNELEXT_DATA"]) / "runs" / run / "0" / "1" / JOURNAL_NAME
    events = [event for event in read_journal(journal) if event.kind == "value"]
    refs = {ref.name: ref for ref in (ValueRef.from_json(each.header["ref"]) for each in events)}
    assert refs["X"].codec in ("blosc2", "npy")
    assert max(refs["box"].stored_bytes, refs["fresh"].stored_bytes) < 1000
    notebook.check("import kernelext\nfresh = kernelext.load('last', 'fresh')")
    assert names["fresh"][0]["X"] is names["fresh"][1]


def test_folds_share_as_the_cell_did(notebook: Notebook, host: str) -> None:
    notebook.check(
        f"%%folds 0-1 --on {host} --out x,y,box\nimport numpy as np\n"
        "x = y = np.arange(3.0) + fold\nbox = [x]"
    )
    names = notebook.names
    for fold in (0, 1):
        assert names["x"][fold][0] == fold
        assert names["x"][fold] is names["y"][fold] is names["box"][fold][0]


NEEDS_MORE = """\
class Needs:
    def __new__(cls, size):
        made = super().__new__(cls)
        made.size = size
        return made
"""


@pytest.mark.parametrize("is_input", [True, False])
def test_object_that_cannot_be_rebuilt_says_what_its_class_lacks(
    notebook: Notebook, host: str, *, is_input: bool
) -> None:
    notebook.check(NEEDS_MORE + "needs = Needs(1)" * is_input)
    made = "size = needs.size" if is_input else "needs = [Needs(2)]"
    shown = notebook.run(f"%%remote {host}\n{made}")

    said = str(shown.error) if is_input else shown.stderr
    assert "`needs`" in said
    assert "missing 1 required positional argument: 'size'" in said
    assert "give that class `__reduce__`" in said
    assert "run the cell again" not in said

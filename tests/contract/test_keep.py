"""A host with `pickles = "keep"`: its results come home, and none of them runs code here."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from kernelext.history import History, history_path
from kernelext.runs.journal import read_journal

from .notebook import Notebook

# The lab's image has neither pyarrow nor polars.
of_this_machine = pytest.mark.parametrize("host", ["local"], indirect=True)

# Pickled on the host; loading it makes a file where it is loaded.
TRAP = """
class Trap:
    def __reduce__(self):
        return open, ({path!r}, "w")
"""


@pytest.fixture(autouse=True)
def _keep(project: Path, host: str) -> None:
    config = Path(os.environ["KERNELEXT_CONFIG"])
    table = f"[hosts.{host}]\n"
    text = config.read_text()
    if table not in text:
        text += table
    config.write_text(text.replace(table, f'{table}pickles = "keep"\n'))


@pytest.fixture
def touched(tmp_path: Path) -> Path:
    """What a trap makes when it is loaded."""
    return tmp_path / "touched"


def load_as_said(notebook: Notebook, said: str) -> object:
    """Do what the sentence says, in the notebook."""
    found = re.search(r"kernelext\.load\(.*\)", said)
    assert found, said
    notebook.check(f"import kernelext\nloaded = {found[0]}")
    return notebook.names["loaded"]


@pytest.mark.parametrize("size", [0, 200_000], ids=["small", "large"])
def test_pickle_stays_on_disk_and_the_rest_comes(
    notebook: Notebook, host: str, touched: Path, size: int
) -> None:
    notebook.check("model = 'as before'")
    shown = notebook.check(
        f"%%remote {host} --out model,n,A\nimport numpy as np\n{TRAP.format(path=str(touched))}"
        f"model = [Trap(), b'x' * {size}]\nn = {{'acc': 0.5}}\nA = np.arange(3.0)"
    )
    assert not touched.exists()
    assert notebook.names["n"] == {"acc": 0.5}
    assert notebook.names["A"].tolist() == [0, 1, 2]
    assert notebook.names["model"] == "as before"
    assert f'{host} has pickles = "keep"' in shown.stderr
    loaded: Any = load_as_said(notebook, shown.stderr)
    loaded[0].close()
    assert touched.exists()


def test_sparse_matrices_come(notebook: Notebook, host: str) -> None:
    made = (
        "import numpy as np, scipy.sparse as sp\n"
        "M = sp.random_array((300, 200), density=0.1, format='csr', rng=np.random.default_rng(0))\n"
    )
    shown = notebook.check(f"%%remote {host} --out M\n{made}")
    assert "stays" not in shown.stderr
    came = notebook.names["M"]
    notebook.check(made)
    assert came.format == "csr"
    assert (came != notebook.names["M"]).nnz == 0


@of_this_machine
def test_tables_come(notebook: Notebook, host: str) -> None:
    made = (
        "import pandas as pd, polars as pl\n"
        "frame = pd.DataFrame({'n': [1, 2], 's': ['a', None]})\n"
        "table = pl.DataFrame({'n': [1, 2], 's': ['a', None]})\n"
    )
    shown = notebook.check(f"%%remote {host} --out frame,table\n{made}")
    assert "stays" not in shown.stderr
    came = dict(notebook.names)
    notebook.check(made)
    assert came["frame"].equals(notebook.names["frame"])
    assert came["table"].equals(notebook.names["table"])


@of_this_machine
def test_of_shared_values_only_the_container_stays(notebook: Notebook, host: str) -> None:
    shown = notebook.check(
        f"%%remote {host} --out params,configs,frame,frames\n"
        "import pandas as pd\n"
        "params = {'depth': 3}\nconfigs = [params]\n"
        "frame = pd.DataFrame({'a': [1]})\nframes = {'train': frame}"
    )
    assert notebook.names["params"] == {"depth": 3}
    assert notebook.names["frame"].a.tolist() == [1]
    assert "configs (list) stays on disk" in shown.stderr
    assert "frames (dict) stays on disk" in shown.stderr
    assert "configs" not in notebook.names
    assert load_as_said(notebook, shown.stderr) == [{"depth": 3}]


def test_fetch_binds_no_pickle(notebook: Notebook, host: str, touched: Path) -> None:
    notebook.check(
        f"%%remote {host} --out model,n\n{TRAP.format(path=str(touched))}model, n = Trap(), 5"
    )
    notebook.check("del n")
    shown = notebook.check("%remote fetch last model n")
    assert not touched.exists()
    assert notebook.names["n"] == 5
    assert "model" not in notebook.names
    assert "model (Trap) stays on disk" in shown.stdout
    assert "bound here: n\n" in shown.stdout


def test_object_array_and_changed_input_stay(notebook: Notebook, host: str, touched: Path) -> None:
    notebook.check("held = []")
    shown = notebook.check(
        f"%%remote {host} --out O\nimport numpy as np\n{TRAP.format(path=str(touched))}"
        "O = np.array([Trap()], dtype=object)"
    )
    assert "O (ndarray) stays on disk" in shown.stderr
    shown = notebook.check(
        f"%%remote {host}\n{TRAP.format(path=str(touched))}held.append(Trap())\ndel Trap"
    )
    assert "held (list) stays on disk" in shown.stderr
    assert notebook.names["held"] == []
    assert not touched.exists()


def test_folds_keep_theirs(notebook: Notebook, host: str, touched: Path) -> None:
    shown = notebook.check(
        f"%%folds 0-1 --on {host} --out model,score\n{TRAP.format(path=str(touched))}"
        "model, score = Trap(), fold / 2"
    )
    assert not touched.exists()
    assert notebook.names["score"] == {0: 0.0, 1: 0.5}
    assert "model" not in notebook.names
    assert shown.stderr.count("model (Trap) stays on disk") == 2


def test_exception_is_raised_and_brings_nothing_along(
    notebook: Notebook, host: str, touched: Path
) -> None:
    shown = notebook.run(
        f"%%remote {host}\n{TRAP.format(path=str(touched))}raise ValueError(Trap())"
    )
    assert isinstance(shown.error, ValueError)
    assert not touched.exists()


def test_module_is_not_imported_by_the_hosts_word(
    notebook: Notebook, host: str, project: Path
) -> None:
    (project / "trap_module.py").write_text("from pathlib import Path\nPath('touched').touch()\n")
    notebook.check("import json")
    shown = notebook.check(f"%%remote {host}\nimport trap_module, json")
    assert "trap_module" not in notebook.names
    assert not (project / "touched").exists()
    assert "`import trap_module` does it" in shown.stderr


def test_displays_are_text_and_raster_images(notebook: Notebook, host: str) -> None:
    shown = notebook.check(
        f"%%remote {host} --out none\n"
        "class Rich:\n"
        "    def __init__(self, data): self.data = data\n"
        "    def _repr_mimebundle_(self, **kw): return self.data, {'text/html': {'isolated': 1}}\n"
        "from IPython.display import display\n"
        "display(Rich({'text/html': '<script>', 'text/plain': 'plain', 'image/png': 'iVBO',"
        " 'image/svg+xml': '<svg/>', 'application/javascript': 'alert(1)'}))\n"
        "display({'text/html': '<b>only</b>'}, raw=True)\n"
        "Rich({'text/markdown': '# x', 'text/plain': 'result', 'application/x-any': '1'})"
    )
    data = [each["data"] for each in shown.displays]
    assert {"text/plain": "plain", "image/png": "iVBO"} in data
    assert all(set(each) <= {"text/plain", "image/png", "image/jpeg"} for each in data)
    assert all("text/html" not in each.get("metadata", {}) for each in shown.displays)
    assert any("journal only" in each.get("text/plain", "") for each in data)
    assert shown.results == [{"text/plain": "result"}]
    with History.open(history_path(os.environ)) as history:
        run = history.run("last").id
    journal = Path(os.environ["KERNELEXT_DATA"]) / "runs" / run / "0" / "1" / "journal"
    kinds = [set(event.content().get("data", {})) for event in read_journal(journal)]
    assert any("application/javascript" in kind for kind in kinds)

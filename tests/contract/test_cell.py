"""A cell on any host: names in, names out, output, errors."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from kernelext.errors import CellSyntaxError, RemoteCellError
from kernelext.history import History, history_path
from kernelext.models import RunState

from .conftest import wait_until
from .notebook import Notebook


def test_bound_names_come_home(notebook: Notebook, host: str) -> None:
    notebook.check("x = 20")
    notebook.check(f"%%remote {host}\ny = x + 1\ndef double(n):\n    return 2 * n")
    assert notebook.names["y"] == 21
    assert notebook.check("double(y)").results[0]["text/plain"] == "42"


def test_changed_inputs_come_home(notebook: Notebook, host: str) -> None:
    notebook.check("import numpy as np\nscores = [1]\ntable = {}\nX = np.zeros(3)\nkept = [7]")
    notebook.check(f"%%remote {host}\nscores.append(2)\ntable['a'] = len(kept)\nX[1] = 5")
    assert notebook.names["scores"] == [1, 2]
    assert notebook.names["table"] == {"a": 1}
    assert notebook.names["X"].tolist() == [0, 5, 0]


def test_notebook_functions_travel_with_what_they_read(notebook: Notebook, host: str) -> None:
    notebook.check("import math\nradius = 2\ndef area():\n    return math.pi * radius ** 2")
    notebook.check(f"%%remote {host}\nradius = 1\nfound = area()")
    assert notebook.names["found"] == pytest.approx(3.14159, abs=1e-5)


def test_features_of_the_future_travel(notebook: Notebook, host: str) -> None:
    cell = f"%%remote {host}\ndef f(a: Missing): pass\nfound = f.__annotations__"
    assert isinstance(notebook.run(cell).error, NameError)
    notebook.check("from __future__ import annotations")
    notebook.check(cell)
    assert notebook.names["found"] == {"a": "Missing"}


def test_project_modules_are_imported(notebook: Notebook, host: str, project: Path) -> None:
    (project / "lib").mkdir()
    (project / "lib" / "__init__.py").write_text("")
    (project / "lib" / "features.py").write_text("def triple(n):\n    return 3 * n\n")
    (project / "words.txt").write_text("grüße\n", encoding="utf-8")
    source = f"%%remote {host}\nfrom lib.features import triple\nfound = triple(4)\n"
    notebook.check(source + "text = open('words.txt', encoding='utf-8').read()")
    assert notebook.names["found"] == 12
    assert notebook.names["text"] == "grüße\n"
    (project / "lib" / "features.py").write_text("def triple(n):\n    return 3.5 * n\n")
    notebook.check(source)
    assert notebook.names["found"] == 14


def test_cell_runs_in_the_notebooks_folder(
    notebook: Notebook, host: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "kernelext.toml").write_text("")
    (project / "shared_part.py").write_text("here = 'root'\n")
    (project / "deep").mkdir()
    (project / "deep" / "own_part.py").write_text("here = 'deep'\n")
    (project / "deep" / "own.txt").write_text("own")
    monkeypatch.chdir(project / "deep")
    notebook.check(
        f"%%remote {host}\nimport own_part, shared_part\n"
        "found = (open('own.txt').read(), own_part.here, shared_part.here)"
    )
    assert notebook.names["found"] == ("own", "deep", "root")


def test_import_in_a_fold_binds_the_module(notebook: Notebook, host: str) -> None:
    notebook.check("import json")
    notebook.check(f"%%folds 0-1 --on {host}\nimport json\ntext = json.dumps([fold])")
    assert notebook.names["text"] == {0: "[0]", 1: "[1]"}
    assert notebook.check("json.dumps(1)").results[0]["text/plain"] == "'1'"


def test_broken_repr_is_shown_as_here(notebook: Notebook, host: str) -> None:
    code = "class Odd:\n    def __repr__(self):\n        raise ValueError('no repr')\nOdd()"
    shown = notebook.run(f"%%remote {host} --out none\n{code}")
    said = shown.stderr + shown.traceback
    assert "ValueError" in said
    assert "no repr" in said


def test_image_as_bytes_is_shown(notebook: Notebook, host: str) -> None:
    code = "class Image:\n    def _repr_png_(self):\n        return b'PNG'\nImage()"
    shown = notebook.check(f"%%remote {host} --out none\n{code}")
    assert shown.results[0]["image/png"] == "UE5H"


def test_class_that_is_only_used_has_not_changed(notebook: Notebook, host: str) -> None:
    notebook.check(
        "class Model:\n    def fit(self, X):\n        self.c = sum(X)\n        return self"
    )
    shown = notebook.check(f"%%folds 0-1 --on {host}\nmodel = Model().fit([1, fold])")
    assert shown.stderr == ""
    assert {fold: model.c for fold, model in notebook.names["model"].items()} == {0: 1, 1: 2}


def test_last_expression_is_shown(notebook: Notebook, host: str) -> None:
    shown = notebook.check(f"%%remote {host}\n[1, 2]")
    assert [each["text/plain"] for each in shown.results] == ["[1, 2]"]


def test_streams_are_replayed(notebook: Notebook, host: str) -> None:
    code = "import sys\nprint('out')\nprint('ärger', file=sys.stderr)"
    shown = notebook.check(f"%%remote {host}\n{code}")
    assert shown.stdout == "out\n"
    assert shown.stderr == "ärger\n"


def test_display_is_replayed(notebook: Notebook, host: str) -> None:
    shown = notebook.check(f"%%remote {host}\ndisplay(1)\ndisplay('two')")
    assert shown.tables == ["1", "'two'"]


def test_remote_exception_is_caught_as_what_it_was(notebook: Notebook, host: str) -> None:
    shown = notebook.run(f"%%remote {host}\nn = 0\nint('no number')")
    assert isinstance(shown.error, ValueError)
    assert isinstance(shown.error, RemoteCellError)
    assert "int('no number')" in shown.traceback
    assert "line 3" in shown.traceback  # as the notebook counts, the magic's line included
    assert "kernelext/" not in shown.traceback
    assert "n" not in notebook.names


def test_syntax_error_stays_here(notebook: Notebook, host: str) -> None:
    shown = notebook.run(f"%%remote {host}\nif True print(1)")
    assert type(shown.error).__name__ == "CellSyntaxError"


def test_image_is_the_hosts_before_the_projects(
    notebook: Notebook, host: str, project: Path
) -> None:
    (project / "kernelext.toml").write_text('image = "nopython:dev"\n')
    notebook.check(f"%%remote {host}\nimport numpy\nfound = numpy.ones(2).sum()")
    assert notebook.names["found"] == 2


def test_star_import_binds_here(notebook: Notebook, host: str) -> None:
    notebook.check(f"%%remote {host}\nfrom math import *\nroot = sqrt(9)")
    assert notebook.check("root + floor(1.5)").results[0]["text/plain"] == "4.0"


def test_what_cannot_travel_home_is_said(notebook: Notebook, host: str) -> None:
    shown = notebook.check(f"%%remote {host}\nimport threading\nlock = threading.Lock()\nn = 1")
    assert notebook.names["n"] == 1
    assert "lock" not in notebook.names
    assert "lock" in shown.stderr


def test_in_out_name_and_env(
    notebook: Notebook, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN_OF_TEST", "s3cret")
    notebook.check("a = 1\nb = 2")
    notebook.check(
        f"%%remote {host} --in a --out c,d --env TOKEN_OF_TEST --name 'my run'\n"
        "import os\nc = a\nd = len(os.environ['TOKEN_OF_TEST'])\ne = 'b' in globals()"
    )
    assert notebook.names["c"] == 1
    assert notebook.names["d"] == 6
    assert "e" not in notebook.names
    assert "my run" in notebook.check("%remote runs --limit 1").stdout
    notebook.check(f"%%remote {host} --out none\nc = 5")
    assert notebook.names["c"] == 1


@pytest.mark.parametrize("magic", ["remote {}", "folds 0-1 --on {}"])
def test_name_of_out_that_is_not_bound_is_said(notebook: Notebook, host: str, magic: str) -> None:
    magic = magic.format(host)
    shown = notebook.check(f"%%{magic} --out made,mistyped\nmade = 1")
    assert shown.stderr.count("mistyped") == 1
    assert "mistyped of --out is not bound by the cell" in shown.stderr
    shown = notebook.check(f"%%{magic} --out made,perhaps\nmade = 1\nexec('perhaps = 2')")
    assert "--out" not in shown.stderr
    shown = notebook.check(f"%%{magic}\nmade = 1\nif made > 1:\n    other = 2")
    assert "--out" not in shown.stderr


def test_shown_results_travel_by_their_names(notebook: Notebook, host: str) -> None:
    number = notebook.shell.execution_count
    notebook.check("[41]")
    notebook.check("40")
    notebook.check(f"%%remote {host}\nfound = _{number}[0], __[0], _, 'Out' in _i{number + 1}")
    assert notebook.names["found"] == (41, 41, 40, False)


@pytest.mark.parametrize(("read", "instead"), [("Out[3]", "_5 for Out[5]"), ("In[-1]", "_i5 for")])
def test_histories_of_the_notebook_are_refused(
    notebook: Notebook, host: str, read: str, instead: str
) -> None:
    shown = notebook.run(f"%%remote {host}\nfound = {read}")
    assert isinstance(shown.error, CellSyntaxError)
    assert instead in str(shown.error)
    notebook.check(f"%%remote {host}\nIn, Out = [1], {{3: 2}}\nfound = {read}")
    assert notebook.names["found"] in (1, 2)


def test_names_of_a_startup_file_travel(notebook: Notebook, host: str) -> None:
    notebook.check("import math\nrate = 2")
    notebook.shell.user_ns_hidden.update(notebook.names)  # as IPython does after such files
    notebook.check(f"%%remote {host}\nfound = math.sqrt(rate * 8)")
    assert notebook.names["found"] == 4


def test_logs_shows_what_a_run_printed(notebook: Notebook, host: str) -> None:
    notebook.check(f"%%remote {host}\nprint('for the record')")
    assert "for the record" in notebook.check("%remote logs").stdout


def test_history_says_where_and_with_what_it_ran(
    notebook: Notebook, host: str, project: Path
) -> None:
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        me = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        subprocess.run(["git", *me, *words], cwd=project, check=True)
    notebook.check(f"%%remote {host}\nimport numpy\nprint(numpy.ones(2))")
    with History.open(history_path(os.environ)) as history:
        wait_until(lambda: history.run("last").git_commit is not None, "what Git says")
        run = history.run("last")
        attempt = history.attempts(run.id)[0]
    assert (run.state, attempt.state, attempt.host) == (RunState.DONE, RunState.DONE, host)
    assert len(run.git_commit or "") == 40
    assert run.git_dirty is False
    assert set(run.packages) == {"numpy"}
    assert min(run.sent_bytes, run.received_bytes, attempt.journal_bytes) > 0
    assert attempt.peak_bytes
    assert (attempt.image_digest or "").startswith("" if host == "local" else "sha256:")

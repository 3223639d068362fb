"""What a user asks of runs that have been, and of those that still are."""

from __future__ import annotations

import builtins
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import kernelext
from kernelext.errors import HistoryError, OptionError

from .notebook import Notebook


def newest(host: str) -> str:
    """The id of the newest run that used a host."""
    return str(kernelext.runs(host=host, limit=1).index[0])


# kernelext.runs()


def test_runs_is_a_frame_of_the_history(notebook: Notebook, host: str) -> None:
    notebook.check(f"%%folds 0-2 --on {host} --name three\ny = fold")
    notebook.run(f"%%remote {host} --name broken\n1 / 0")
    frame = kernelext.runs(host=host, limit=2)
    assert list(frame["title"]) == ["broken", "three"]
    assert list(frame["state"]) == ["failed", "done"]
    assert list(frame["cause"]) == ["cell_error", ""]
    assert list(frame["folds"]) == [1, 3]
    assert list(frame["folds_done"]) == [0, 3]
    assert str(frame["created_at"].dtype).startswith("datetime64")
    assert frame["created_at"].dt.tz is not None
    assert frame["created_at"].is_monotonic_decreasing
    assert (frame["elapsed"] > pd.Timedelta(0)).all()
    assert (frame["sent_bytes"] > 0).all()
    assert "1 / 0" in frame["code"].iloc[0]


def test_runs_are_filtered(notebook: Notebook) -> None:
    notebook.check("%%remote --name apples\nx = 1")
    notebook.run("%%remote --name pears\n1 / 0")
    assert list(kernelext.runs(state="failed", limit=1)["title"]) == ["pears"]
    assert kernelext.runs(text="apples")["title"].iloc[0] == "apples"
    recent = kernelext.runs(since=timedelta(minutes=5))
    assert list(recent["title"])[:2] == ["pears", "apples"]
    assert len(kernelext.runs(since=recent["created_at"].iloc[0])) == 1
    assert len(kernelext.runs(since="2999-01-01")) == 0
    assert len(kernelext.runs(host="never used")) == 0


@pytest.mark.parametrize(
    ("filters", "part"),
    [
        ({"state": "asleep"}, "the states are queued, sending"),
        ({"since": "yesterday"}, "2026-03-01"),
    ],
)
def test_filters_that_cannot_be_are_refused(filters: dict[str, str], part: str) -> None:
    with pytest.raises(OptionError, match=part):
        kernelext.runs(**filters)  # type: ignore[arg-type]


def test_runs_before_the_first_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KERNELEXT_DATA", str(tmp_path / "none"))
    assert len(kernelext.runs()) == 0
    assert not (tmp_path / "none").exists()
    with pytest.raises(HistoryError, match="nothing has run yet"):
        kernelext.load("last", "x")


def test_runs_without_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: object, **kwargs: object) -> object:
        if name == "pandas":
            raise ImportError(name)
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(OptionError, match="install pandas"):
        kernelext.runs()


# kernelext.load()


def test_load_returns_what_a_run_bound(notebook: Notebook, host: str) -> None:
    code = "import numpy as np\nsmall = {'a': 1}\nlarge = np.random.default_rng(0).random(100_000)"
    notebook.check(f"%%remote {host}\n{code}")
    run = newest(host)
    assert kernelext.load(run, "small") == {"a": 1}
    expected = np.random.default_rng(0).random(100_000)
    np.testing.assert_array_equal(kernelext.load(run[:6], "large"), expected)
    np.testing.assert_array_equal(kernelext.load("last", "large", fold=0), expected)


def test_load_of_folds_is_a_dict(notebook: Notebook, host: str) -> None:
    code = "kept = fold * 10\nif fold == 2: raise ValueError('no')"
    notebook.run(f"%%folds 1-3 --on {host}\n{code}")
    assert kernelext.load("last", "kept") == {1: 10, 3: 30}
    assert kernelext.load("last", "kept", fold=3) == 30
    with pytest.raises(HistoryError, match="has failed"):
        kernelext.load("last", "kept", fold=2)
    with pytest.raises(HistoryError, match="its folds are 1, 2, 3"):
        kernelext.load("last", "kept", fold=9)


def test_load_offers_the_nearest_names(notebook: Notebook) -> None:
    notebook.check("%%remote --name tuning\nscores = [1, 2]\nother = 1")
    with pytest.raises(HistoryError, match=r"did you mean scores\? It has other, scores"):
        kernelext.load("last", "score")
    with pytest.raises(HistoryError, match="did you mean tuning"):
        kernelext.load("tunning", "scores")


def test_load_of_a_run_that_bound_nothing(notebook: Notebook) -> None:
    notebook.check("%%remote\nprint('only')")
    with pytest.raises(HistoryError, match="has left no values"):
        kernelext.load("last", "x")
    notebook.run("%%remote\nx = 1\nraise OSError('broke')")
    with pytest.raises(HistoryError, match=r"has failed \(cell_error\): it has bound nothing"):
        kernelext.load("last", "x")


def test_load_of_a_value_that_could_not_travel(notebook: Notebook) -> None:
    notebook.run("%%remote\nimport threading\nlock = threading.Lock()")
    with pytest.raises(HistoryError, match="lock has stayed on local"):
        kernelext.load("last", "lock")

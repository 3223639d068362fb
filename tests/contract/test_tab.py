"""Tab in the lines of our magics, and the manual that a question mark shows."""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import pytest
from IPython.core.completer import provisionalcompleter

import kernelext

from .notebook import Notebook

pytestmark = pytest.mark.parametrize("host", ["local"], indirect=True)


def completions(notebook: Notebook, text: str) -> list[str]:
    """What a kernel answers to a complete request at the end of a text."""
    with provisionalcompleter():
        found = list(notebook.shell.Completer.completions(text, len(text)))
    return [text[: each.start] + each.text for each in found]


@pytest.mark.parametrize(
    ("text", "completed"),
    [
        ("%%remote loc", "%%remote local"),
        ("%%remote ho", "%%remote host01"),
        ("%%folds 0-4 --on ho", "%%folds 0-4 --on host02"),
        ("%%folds 0-4 --on local,host0", "%%folds 0-4 --on local,host02"),
        ("%%remote --mem", "%%remote --memory"),
        ("%%remote local --in table_o", "%%remote local --in table_of_mine"),
        ("%%remote --out x,table_o", "%%remote --out x,table_of_mine"),
        ("%%remote --out no", "%%remote --out none"),
        ("%remote can", "%remote cancel"),
        ("%remote gc --dry", "%remote gc --dry-run"),
        ("%remote hosts ho", "%remote hosts host01"),
        ("%remote logs la", "%remote logs last"),
        ("x = 1\n%remote ru", "x = 1\n%remote runs"),
    ],
)
def test_tab_completes(notebook: Notebook, text: str, completed: str) -> None:
    notebook.check("table_of_mine, other_thing = 1, 2")
    assert completed in completions(notebook, text)
    line = text.rpartition("\n")[2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        _, matches = notebook.shell.complete("", line, len(line))
    assert any(completed.rpartition("\n")[2].endswith(match) for match in matches)


def test_tab_offers_runs_with_their_titles(notebook: Notebook) -> None:
    notebook.check("%%remote local --name 'my title'\nx = 1")
    run = str(kernelext.runs(limit=1).index[0])
    text = f"%remote cancel {run[:4]}"
    with provisionalcompleter():
        found = list(notebook.shell.Completer.completions(text, len(text)))
    assert (run, "my title") in [(each.text, each.type) for each in found]


def test_tab_is_quick_and_never_raises(notebook: Notebook, tmp_path: Path) -> None:
    completions(notebook, "%%remote ")
    took_s = []
    for _ in range(5):
        began_s = time.perf_counter()
        assert "%%remote local" in completions(notebook, "%%remote ")
        took_s.append(time.perf_counter() - began_s)
    assert min(took_s) < 0.05
    for text in ("%%remote 'open ", "%%folds ", "%remote nothing ", "%%remote --cpus x --on "):
        completions(notebook, text)
    (tmp_path / "config" / "kernelext.toml").write_text("no [ toml")
    completions(notebook, "%%remote ho")


def test_tab_elsewhere_is_as_before(notebook: Notebook) -> None:
    notebook.check("table_of_mine = 1")
    assert "table_of_mine" in completions(notebook, "table_o")
    assert "%%remote local\ntable_of_mine" in completions(notebook, "%%remote local\ntable_o")


@pytest.mark.parametrize(
    ("asked", "parts"),
    [
        ("%%remote?", ["--memory SIZE", "a second interrupt kills", "%%remote host01"]),
        ("%%folds?", ["FOLDS", "0-9:2", "{fold: value}"]),
        ("%remote?", ["cancel", "gc", "%remote fetch 3f2a model"]),
    ],
)
def test_question_mark_shows_a_manual(
    notebook: Notebook, asked: str, parts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    shown = notebook.check(asked)
    text = shown.stdout + capsys.readouterr().out
    for part in parts:
        assert part in text

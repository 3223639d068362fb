"""Runs are found by what a person types."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from kernelext.errors import HistoryError
from kernelext.history import History, RunRow
from tests.history.conftest import NOON

MakeRun = Callable[..., RunRow]


def test_runs_are_the_newest_first(history: History, make_run: MakeRun) -> None:
    for number, at in enumerate((NOON, NOON + 2, NOON + 1, NOON + 1)):
        history.add_run(make_run(f"r{number}", at=at), ["0"])
    assert [run.id for run in history.runs()] == ["r1", "r3", "r2", "r0"]
    assert [run.id for run in history.runs(limit=2)] == ["r1", "r3"]
    assert history.run("last").id == "r1"


def test_runs_with_text_searches_what_people_remember(history: History, make_run: MakeRun) -> None:
    history.add_run(replace(make_run("a1", "SVC 100%"), code="svc.fit(X)"), ["0"])
    history.add_run(replace(make_run("b2", "tree"), hosts=("aws01",), notebook="eda.ipynb"), ["0"])
    for text, wanted in (
        ("svc", ["a1"]),
        ("EDA", ["b2"]),
        ("aws01", ["b2"]),
        ("0%", ["a1"]),
        ("_", []),
        ("x' OR 1", []),
    ):
        assert [run.id for run in history.runs(text=text)] == wanted


def test_run_by_id_then_title_then_prefix(history: History, make_run: MakeRun) -> None:
    history.add_run(make_run("abc", "first"), ["0"])
    history.add_run(make_run("abcd", "second"), ["0"])
    history.add_run(make_run("x", "ab"), ["0"])
    assert history.run("abc").title == "first"
    assert history.run("second").id == "abcd"
    assert history.run("abcd").id == "abcd"
    assert history.run("ab").id == "x"


def test_run_ambiguous_names_the_candidates(history: History, make_run: MakeRun) -> None:
    for number in range(7):
        history.add_run(make_run(f"abc{number}", "fit", NOON + number), ["0"])
    with pytest.raises(HistoryError, match=r"abc6 \(fit, .*abc2.* and others") as caught:
        history.run("abc")
    assert "abc1" not in str(caught.value)


def test_name_that_was_used_again_means_its_newest_run(history: History, make_run: MakeRun) -> None:
    for number in range(3):
        history.add_run(make_run(f"abc{number}", "fit", NOON + number), ["0"])
    assert history.run("fit").id == "abc2"


@pytest.mark.parametrize("wanted", ["", "zz", "%", "_"])
def test_run_unknown_says_the_next_step(history: History, make_run: MakeRun, wanted: str) -> None:
    history.add_run(make_run(), ["0"])
    with pytest.raises(HistoryError, match="kernelext runs"):
        history.run(wanted)


def test_run_last_of_an_empty_history_says_so(history: History) -> None:
    with pytest.raises(HistoryError, match="nothing has run yet"):
        history.run("last")

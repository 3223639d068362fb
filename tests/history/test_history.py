"""What is written comes back, and folds and runs follow their attempts."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from kernelext.errors import HistoryError
from kernelext.history import FoldRow, History, RunRow, iso_time
from kernelext.models import AttemptEnd, AttemptId, EndCause, RunState
from tests.history.conftest import NOON

MakeRun = Callable[..., RunRow]
DONE = AttemptEnd(RunState.DONE, exit_code=0, peak_bytes=5000)
LOST = AttemptEnd(RunState.LOST, EndCause.HOST_LOST, "aws01 has not answered for 10 min.")
FAILED = AttemptEnd(RunState.FAILED, EndCause.CELL_ERROR, "ValueError: bad", exit_code=1)


def test_add_run_comes_back_whole(history: History, make_run: MakeRun) -> None:
    run = replace(
        make_run(),
        kind="folds",
        notebook="eda.ipynb",
        project_dir="/home/ada/p",
        hosts=("aws01", "local"),
        options={"cpus": 2, "out": ["model"], "memory": None},
        git_commit="0" * 40,
        git_dirty=False,
        packages={"numpy": "2.1.0"},
        python="3.11.7",
        kernelext_version="0.1.0",
    )
    history.add_run(run, ["0", "b"])
    assert history.run("aa11") == run
    assert history.folds("aa11") == [FoldRow("aa11", "0", 0), FoldRow("aa11", "b", 1)]
    assert history.attempts("aa11") == []


@pytest.mark.parametrize("is_dirty", [True, False])
def test_note_commit_of_one_run(history: History, make_run: MakeRun, is_dirty: bool) -> None:
    history.add_run(make_run("aa11"), ["0"])
    history.add_run(make_run("bb22"), ["0"])
    history.note_commit("aa11", "f" * 40, is_dirty=is_dirty)
    run = history.run("aa11")
    assert (run.git_commit, run.git_dirty) == ("f" * 40, is_dirty)
    assert history.run("bb22").git_commit is None


def test_add_run_twice_is_refused_and_writes_nothing(history: History, make_run: MakeRun) -> None:
    history.add_run(make_run(), ["0"])
    with pytest.raises(HistoryError):
        history.add_run(make_run(), ["0", "1"])
    with pytest.raises(HistoryError):
        history.add_run(make_run("bb22"), ["same", "same"])
    assert [run.id for run in history.runs()] == ["aa11"]
    assert len(history.folds("aa11")) == 1


def test_add_run_needs_folds(history: History, make_run: MakeRun) -> None:
    with pytest.raises(ValueError, match="at least one fold"):
        history.add_run(make_run(), [])


def test_attempt_carries_its_fold_and_run(history: History, make_run: MakeRun) -> None:
    attempt = AttemptId("aa11", "0", 1)
    history.add_run(make_run(), ["0"])
    history.add_attempt(attempt, "aws01", NOON + 1)
    history.set_attempt_state(
        attempt, RunState.RUNNING, NOON + 2, image_digest="sha256:1", boot_id="b1"
    )
    history.set_attempt_state(attempt, RunState.RUNNING, NOON + 3)
    assert history.run("last").state == RunState.RUNNING
    assert history.run("last").ended_at is None

    history.end_attempt(attempt, DONE, NOON + 4, journal_bytes=77)
    (row,) = history.attempts("aa11")
    assert row.id == attempt
    assert (row.host, row.image_digest, row.boot_id) == ("aws01", "sha256:1", "b1")
    assert (row.started_at, row.ended_at) == (iso_time(NOON + 1), iso_time(NOON + 4))
    assert (row.state, row.exit_code, row.peak_bytes) == (RunState.DONE, 0, 5000)
    assert row.journal_bytes == 77
    (fold,) = history.folds("aa11")
    assert (fold.state, fold.host) == (RunState.DONE, "aws01")
    run = history.run("aa11")
    assert (run.state, run.cause, run.ended_at) == (RunState.DONE, None, iso_time(NOON + 4))


def test_newest_attempt_decides_and_reopens_the_run(history: History, make_run: MakeRun) -> None:
    first, second = AttemptId("aa11", "0", 1), AttemptId("aa11", "0", 2)
    history.add_run(make_run(), ["0"])
    history.add_attempt(first, "aws01", NOON)
    history.end_attempt(first, LOST, NOON + 1)
    run = history.run("aa11")
    assert (run.state, run.cause, run.message) == (LOST.state, LOST.cause, LOST.message)

    history.add_attempt(second, "local", NOON + 2)
    run = history.run("aa11")
    assert (run.state, run.cause, run.message, run.ended_at) == (RunState.QUEUED, None, "", None)

    history.end_attempt(first, DONE, NOON + 3)
    assert history.attempts("aa11", "0")[0].state == RunState.DONE
    assert history.folds("aa11")[0].state == RunState.QUEUED


def test_first_end_stands_unless_it_was_lost(history: History, make_run: MakeRun) -> None:
    attempt = AttemptId("aa11", "0", 1)
    history.add_run(make_run(), ["0"])
    history.add_attempt(attempt, "aws01", NOON)
    history.end_attempt(attempt, LOST, NOON + 1)
    history.end_attempt(attempt, FAILED, NOON + 2)
    history.end_attempt(attempt, DONE, NOON + 3)
    history.set_attempt_state(attempt, RunState.RUNNING, NOON + 4)
    (row,) = history.attempts("aa11")
    assert (row.state, row.cause, row.ended_at) == (FAILED.state, FAILED.cause, iso_time(NOON + 2))
    assert history.run("aa11").state == RunState.FAILED


def test_run_tells_the_cause_of_the_fold_that_gave_its_state(
    history: History, make_run: MakeRun
) -> None:
    history.add_run(make_run(), ["0", "1", "2"])
    for fold, end in (("0", DONE), ("1", LOST), ("2", FAILED)):
        history.add_attempt(AttemptId("aa11", fold, 1), "aws01", NOON)
        history.end_attempt(AttemptId("aa11", fold, 1), end, NOON + 1)
    run = history.run("aa11")
    assert (run.state, run.cause, run.message) == (FAILED.state, FAILED.cause, FAILED.message)


def test_end_unstarted_ends_only_folds_without_attempts(
    history: History, make_run: MakeRun
) -> None:
    cancelled = AttemptEnd(RunState.CANCELLED, EndCause.USER_INTERRUPT)
    history.add_run(make_run(), ["0", "1"])
    history.add_attempt(AttemptId("aa11", "0", 1), "local", NOON)
    history.end_unstarted("aa11", cancelled, NOON + 1)
    assert [fold.state.value for fold in history.folds("aa11")] == ["queued", "cancelled"]
    assert history.run("aa11").state == RunState.QUEUED
    history.end_attempt(AttemptId("aa11", "0", 1), DONE, NOON + 2)
    assert history.run("aa11").cause == EndCause.USER_INTERRUPT


def test_unknown_attempts_are_refused(history: History, make_run: MakeRun) -> None:
    history.add_run(make_run(), ["0"])
    for wrong in (AttemptId("aa11", "1", 1), AttemptId("bb", "0", 1)):
        with pytest.raises(HistoryError):
            history.add_attempt(wrong, "local", NOON)
        with pytest.raises(HistoryError, match="knows no attempt"):
            history.end_attempt(wrong, DONE, NOON)
        with pytest.raises(HistoryError, match="knows no attempt"):
            history.set_attempt_state(wrong, RunState.RUNNING, NOON)
    with pytest.raises(ValueError, match="end_attempt"):
        history.set_attempt_state(AttemptId("aa11", "0", 1), RunState.DONE, NOON)


def test_add_bytes_adds(history: History, make_run: MakeRun) -> None:
    history.add_run(make_run(), ["0"])
    history.add_bytes("aa11", sent=10, received=1)
    history.add_bytes("aa11", sent=5)
    assert (history.run("aa11").sent_bytes, history.run("aa11").received_bytes) == (15, 1)


def test_touch_host_keeps_first_use_and_last_facts(history: History) -> None:
    history.touch_host("aws01", "docker", "SSH alias", NOON, {"cores": 8})
    history.touch_host("local", "process", "this machine", NOON + 1)
    history.touch_host("aws01", "docker", "kernelext.toml", NOON + 2)
    first, second = history.hosts()
    assert (first.name, first.source, first.facts) == ("aws01", "kernelext.toml", {"cores": 8})
    assert (first.first_used_at, first.last_used_at) == (iso_time(NOON), iso_time(NOON + 2))
    assert (second.name, second.facts) == ("local", {})

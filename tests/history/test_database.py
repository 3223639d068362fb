"""One file, many threads and processes; errors in words."""

import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from kernelext.errors import HistoryError
from kernelext.history import History, RunRow
from kernelext.models import AttemptEnd, AttemptId, RunState
from tests.history.conftest import NOON

MakeRun = Callable[..., RunRow]
RUNS = 50
WRITER = f"""
import sys
from pathlib import Path
from kernelext.history import History, RunRow, iso_time
from kernelext.models import AttemptEnd, AttemptId, RunState

path, writer = Path(sys.argv[1]), sys.argv[2]
sys.stdin.readline()
with History.open(path) as history:
    for number in range({RUNS}):
        run = f"{{writer}}-{{number}}"
        history.add_run(RunRow(run, "o", "t", "remote", "x", "c", iso_time(number)), ["0"])
        attempt = AttemptId(run, "0", 1)
        history.add_attempt(attempt, "local", number)
        history.set_attempt_state(attempt, RunState.RUNNING, number)
        history.end_attempt(attempt, AttemptEnd(RunState.DONE), number, 1)
        history.add_bytes(run, 1, 2)
"""


def test_processes_write_at_once_and_lose_nothing(path: Path) -> None:
    """The four also race for the file's creation, its journal's mode and its tables."""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(number)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        _, stderr = writer.communicate(timeout=60)
        assert (writer.returncode, stderr) == (0, "")
    with History.open(path) as history:
        runs = history.runs(limit=1000)
    assert len(runs) == 4 * RUNS
    assert {(run.state, run.sent_bytes, run.received_bytes) for run in runs} == {
        (RunState.DONE, 1, 2)
    }


def test_threads_share_one_history(history: History, make_run: MakeRun) -> None:
    failures: list[BaseException] = []

    def write(name: str) -> None:
        try:
            for number in range(RUNS):
                attempt = AttemptId(f"{name}{number}", "0", 1)
                history.add_run(make_run(attempt.run), ["0"])
                history.add_attempt(attempt, "local", NOON)
                history.end_attempt(attempt, AttemptEnd(RunState.DONE), NOON)
        except HistoryError as exc:
            failures.append(exc)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        for run in history.runs(limit=1000):
            assert len(history.folds(run.id)) == 1
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(history.runs(limit=1000)) == 4 * RUNS


def test_reading_is_not_held_up_by_a_writer(
    history: History, path: Path, make_run: MakeRun
) -> None:
    history.add_run(make_run(), ["0"])
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE runs SET title = 'unseen'")
        with History.open(path) as reader:
            assert reader.run("last").title == "fit"
        writer.execute("ROLLBACK")


def test_interrupt_inside_a_transaction_leaves_nothing(history: History) -> None:
    def interrupted() -> None:
        with history._database.writing() as db:
            db.execute("INSERT INTO hosts VALUES ('a', 'k', 's', '', '', '{}')")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert history.hosts() == []
    history.touch_host("b", "k", "s", NOON)


def test_files_are_the_users_alone(history: History, path: Path, make_run: MakeRun) -> None:
    history.add_run(make_run(), ["0"])
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(f.stat().st_mode) for f in path.parent.iterdir()} == {0o600}


def test_broken_file_is_said_with_the_next_step(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(HistoryError, match=f"{path} is damaged .* move the file away"):
        History.open(path)


def test_read_only_folder_is_said_with_the_next_step() -> None:
    with pytest.raises(HistoryError, match="KERNELEXT_DATA"):
        History.open(Path("/sys/kernelext/history.sqlite"))  # not even root may write there


def test_folder_that_is_a_file_is_said_with_the_next_step(path: Path) -> None:
    path.parent.write_text("")
    with pytest.raises(HistoryError, match=f"{path} cannot be written .*KERNELEXT_DATA"):
        History.open(path)


def test_closed_history_refuses(path: Path) -> None:
    history = History.open(path)
    history.close()
    history.close()
    with pytest.raises(HistoryError, match="closed"):
        history.runs()

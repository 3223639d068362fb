"""What a user asks of runs that have been, and of those that still are."""

from __future__ import annotations

import builtins
import os
import threading
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import kernelext
from kernelext import cli
from kernelext.daemon.spares import MIN_FILES
from kernelext.errors import HistoryError, KernelExtError, OptionError, RunError
from kernelext.history import History, RunRow, iso_time
from kernelext.link.local import local_state_dir
from kernelext.models import AttemptEnd, AttemptId, EndCause, RunState

from .conftest import wait_until
from .interrupts import printed
from .notebook import Notebook
from .orphans import Client

on_local = pytest.mark.parametrize("host", ["local"], indirect=True)


def newest(host: str) -> str:
    """The id of the newest run that used a host."""
    return str(kernelext.runs(host=host, limit=1).index[0])


# kernelext.runs()


@on_local
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


@on_local
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


@on_local
def test_load_offers_the_nearest_names(notebook: Notebook) -> None:
    notebook.check("%%remote --name tuning\nscores = [1, 2]\nother = 1")
    with pytest.raises(HistoryError, match=r"did you mean scores\? It has other, scores"):
        kernelext.load("last", "score")
    with pytest.raises(HistoryError, match="did you mean tuning"):
        kernelext.load("tunning", "scores")


@on_local
def test_load_of_a_run_that_bound_nothing(notebook: Notebook) -> None:
    notebook.check("%%remote\nprint('only')")
    with pytest.raises(HistoryError, match="has left no values"):
        kernelext.load("last", "x")
    notebook.run("%%remote\nx = 1\nraise OSError('broke')")
    with pytest.raises(HistoryError, match=r"has failed \(cell_error\): it has bound nothing"):
        kernelext.load("last", "x")


@on_local
def test_load_of_a_value_that_could_not_travel(notebook: Notebook) -> None:
    notebook.run("%%remote\nimport threading\nlock = threading.Lock()")
    with pytest.raises(HistoryError, match="lock has stayed on local"):
        kernelext.load("last", "lock")


# cancel

SLEEP = "import time\nprint('on')\ntime.sleep(300)"
STUBBORN = """
import time
print('on')
while True:
    try:
        time.sleep(300)
    except KeyboardInterrupt:
        pass
"""


def verb(notebook: Notebook, line: str) -> str:
    """What a verb says."""
    return notebook.check(f"%remote {line}").stdout


def refusal(notebook: Notebook, line: str) -> str:
    """What a verb that cannot be carried out says."""
    shown = notebook.run(f"%remote {line}")
    assert isinstance(shown.error, KernelExtError)
    return str(shown.error)


def sweep(notebook: Notebook, host: str) -> None:
    """Have the host remove what nobody has taken."""
    verb(notebook, f"gc {host} --older-than 0s")


@pytest.mark.parametrize(("code", "least_s"), [(SLEEP, 0.0), (STUBBORN, 0.4)])
def test_cancel_ends_a_run_whose_client_has_died(
    notebook: Notebook, project: Path, host: str, code: str, least_s: float
) -> None:
    with Client(project, host, code) as client:
        client.die()
        began_s = time.monotonic()
        said = verb(notebook, f"cancel {client.run[:7]} --grace 0.5s")
        assert time.monotonic() - began_s > least_s
    confirmed = f"{client.run} fold 0: cancelled (user_interrupt), as {host} confirmed\n"
    assert said == confirmed
    assert kernelext.runs(text=client.run)["state"].iloc[0] == "cancelled"
    assert verb(notebook, f"cancel {client.run}") == (
        f"{client.run} has ended already: cancelled (user_interrupt)\n"
    )
    sweep(notebook, host)


@on_local
def test_cancel_of_one_fold_leaves_the_others(notebook: Notebook, project: Path, host: str) -> None:
    with Client(project, host, SLEEP, folds="0-1") as client:
        client.die()
        assert "fold 1: cancelled" in verb(notebook, f"cancel {client.run} --fold 1")
        assert kernelext.runs(text=client.run)["state"].iloc[0] != "cancelled"
        assert "has no fold 7" in refusal(notebook, f"cancel {client.run} --fold 7")
        assert "fold 0: cancelled" in verb(notebook, f"cancel {client.run}")
    sweep(notebook, host)


@on_local
def test_cancel_of_what_its_host_does_not_know(notebook: Notebook, data_dir: Path) -> None:
    """One that ran is lost; one that was still being sent is its notebook's business."""
    now = time.time()
    with History.open(data_dir / "history.sqlite") as history:
        for run, state in (("f00d1", RunState.RUNNING), ("f00d2", RunState.SENDING)):
            row = RunRow(run, "me", run, "remote", "x = 1", "Cell", iso_time(now))
            history.add_run(row, ["0"])
            history.add_attempt(AttemptId(run, "0", 1), "local", now)
            history.set_attempt_state(AttemptId(run, "0", 1), state, now)
        assert verb(notebook, "cancel f00d1") == (
            "f00d1 fold 0 is lost: local no longer knows it\n"
        )
        assert "has not come to local: its notebook still sends it" in refusal(
            notebook, "cancel f00d2"
        )
        assert "its notebook still sends it" in verb(notebook, "fetch f00d2")
        assert history.run("f00d2").state is RunState.SENDING
        end = AttemptEnd(RunState.CANCELLED, EndCause.USER_INTERRUPT)
        history.end_attempt(AttemptId("f00d2", "0", 1), end, now)


@on_local
def test_cancel_without_a_name(notebook: Notebook, project: Path, host: str) -> None:
    assert verb(notebook, "cancel") == "Nothing runs.\n"
    half = "0 --cpus 0.4"
    with (
        Client(project, host, SLEEP, folds=half) as one,
        Client(project, host, SLEEP, folds=half) as other,
    ):
        assert "2 runs have not ended" in refusal(notebook, "cancel")
        said = verb(notebook, "cancel --all --kill")
        assert said.count(f"as {host} confirmed") == 2
        assert one.run in said
        assert other.run in said
    sweep(notebook, host)


def test_notebook_hears_that_its_run_was_cancelled(
    notebook: Notebook, project: Path, host: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The console ends it, the cell in the notebook says so."""
    done: list[int] = []

    def console() -> None:
        wait_until(printed("on"), "the cell to print", 60)
        done.append(cli.main(["cancel"]))

    thread = threading.Thread(target=console)
    thread.start()
    shown = notebook.run(f"%%remote {host}\n{SLEEP}")
    thread.join(60)
    assert done == [0]
    assert isinstance(shown.error, RunError)
    assert str(shown.error) == (
        f"cancelled by `cancel`, not by this notebook; {host} confirmed that the cell has ended"
    )
    assert kernelext.runs(limit=1)["state"].iloc[0] == "cancelled"


# fetch

RESULTS = """
import numpy as np, time
print('on')
time.sleep({wait_s})
small, large = 1, np.random.default_rng(0).random(200_000)
print('end')
"""


def test_fetch_brings_what_a_dead_client_left(notebook: Notebook, project: Path, host: str) -> None:
    with Client(project, host, RESULTS.format(wait_s=0.5)) as client:
        client.die()
    with pytest.raises(HistoryError, match=f"kernelext fetch {client.run}"):
        kernelext.load(client.run, "large")
    wait_ended(notebook, client.run)
    said = verb(notebook, f"fetch {client.run} large")
    assert "large (1.5 MB)" in said
    assert "it has ended: done" in said
    assert "bound here: large" in said
    expected = np.random.default_rng(0).random(200_000)
    np.testing.assert_array_equal(notebook.names["large"], expected)
    assert kernelext.load(client.run, "small") == 1
    assert verb(notebook, f"logs {client.run}") == "on\nend\n"
    assert kernelext.runs(text=client.run)["state"].iloc[0] == "done"
    assert verb(notebook, f"fetch {client.run}") == f"{client.run} fold 0: all of it is at home\n"
    sweep(notebook, host)


def wait_ended(notebook: Notebook, run: str) -> None:
    """Wait until the host says that a run has ended."""

    def has_ended() -> bool:
        notebook.run(f"%remote fetch {run} small")
        return str(kernelext.runs(text=run)["state"].iloc[0]) == "done"

    wait_until(has_ended, "the end", 60)


def test_fetch_while_it_runs_brings_what_there_is(
    notebook: Notebook, project: Path, host: str
) -> None:
    with Client(project, host, SLEEP) as client:
        said = verb(notebook, f"fetch {client.run}")
        assert "it is running there, fetch again when it has ended" in said
        assert verb(notebook, f"logs {client.run}") == "on\n"
        verb(notebook, f"cancel {client.run}")
    assert [path.name for path in journals(client.run)] == ["journal"]
    sweep(notebook, host)


def journals(run: str) -> list[Path]:
    """What lies at home of a run's first fold."""
    return list((Path(os.environ["KERNELEXT_DATA"]) / "runs" / run / "0" / "1").iterdir())


def test_fetch_of_what_is_at_home_or_nowhere(notebook: Notebook, host: str) -> None:
    notebook.check(f"%%remote {host}\nimport os\nx, big = 1, os.urandom(100_000)")
    run = newest(host)
    assert verb(notebook, "fetch last") == f"{run} fold 0: all of it is at home\n"
    assert "bound here: x" in verb(notebook, "fetch last x")
    assert "did you mean big" in refusal(notebook, "fetch last bigg")
    for path in Path(os.environ["KERNELEXT_DATA"], "runs", run, "0", "1", "values").iterdir():
        path.unlink()
    assert f"{host} has nothing of it any more" in verb(notebook, "fetch last")
    with pytest.raises(HistoryError, match="the bytes of big are not at home"):
        kernelext.load("last", "big")


# gc


def test_gc_leaves_what_is_in_use(notebook: Notebook, project: Path, host: str) -> None:
    """A living run keeps its container and its blobs; another owner's end stays."""
    (project / "data.bin").write_bytes(os.urandom(200_000))
    code = "print('on')\nimport time\ntime.sleep(2)\nn = len(open('data.bin', 'rb').read())"
    with Client(project, host, code) as client:
        client.die()
        said = verb(notebook, f"gc {host} --older-than 0")
        assert client.run not in said
        assert "container" not in said
        wait_until(lambda: "it has ended: done" in verb(notebook, f"fetch {client.run}"), "it", 30)
    assert kernelext.load(client.run, "n") == 200_000
    config = Path(os.environ["KERNELEXT_CONFIG"])
    before = config.read_text()
    config.write_text(f'owner = "somebody@else"\n{before}')
    assert client.run not in verb(notebook, f"gc {host} --older-than 0")
    config.write_text(before)
    assert client.run not in verb(notebook, f"gc {host}")
    listed = verb(notebook, f"gc {host} --older-than 0 --dry-run")
    assert f"results {client.run}/0/1" in listed
    assert f"{host}: would free" in listed
    assert listed.replace("would free", "freed") == verb(notebook, f"gc {host} --older-than 0")
    assert client.run not in verb(notebook, f"gc {host} --older-than 0")


@on_local
def test_gc_removes_old_blobs_and_values_at_home(notebook: Notebook, data_dir: Path) -> None:
    notebook.check("import numpy as np\nX = np.random.default_rng(1).random(100_000)")
    notebook.check("%%remote local\nY = X + 1")
    assert "blobs" not in verb(notebook, "gc local --older-than 0 --dry-run")
    blobs = [path for path in local_state_dir(data_dir).glob("blobs/*/*") if path.is_file()]
    for path in blobs:
        os.utime(path, (0, 0))
    said = verb(notebook, "gc local --older-than 1h")
    assert f"{len(blobs)} blobs" in said
    assert not any(path.exists() for path in blobs)
    notebook.check("%%remote local\nZ = X + Y")
    np.testing.assert_array_equal(notebook.names["Z"], notebook.names["X"] + notebook.names["Y"])
    run = newest("local")
    assert run in verb(notebook, "gc local --older-than 0 --dry-run")
    assert len(kernelext.load(run, "Z")) == 100_000
    verb(notebook, "gc local --older-than 0")
    with pytest.raises(HistoryError, match="not at home"):
        kernelext.load(run, "Z")


@on_local
def test_gc_removes_an_old_project_copy_whole(
    notebook: Notebook, project: Path, data_dir: Path
) -> None:
    for number in range(MIN_FILES):
        (project / f"{number}.txt").write_text(f"{number}")
    count = "import os\nn = len(os.listdir())"
    spares = local_state_dir(data_dir) / "spares"
    for older_than, is_gone in (("1h", False), ("5m", True)):
        notebook.check(f"%%remote local\n{count}")
        wait_until(lambda: len(list(spares.glob("*/project/*"))) >= MIN_FILES, "the copy")
        copies = list(spares.iterdir())
        for path in (*spares.glob("*/project/*"), *copies):
            os.utime(path, (time.time() - 700,) * 2)
        said = verb(notebook, f"gc local --older-than {older_than}")
        assert "partial" not in said
        assert ("1 spare copy of a project" in said) == is_gone
        assert [path.exists() for path in copies] == [not is_gone]
        notebook.check(f"%%remote local\n{count}")
        assert notebook.names["n"] >= MIN_FILES


@on_local
def test_gc_goes_on_after_a_host_that_does_not_answer(notebook: Notebook) -> None:
    said = refusal(notebook, "gc nowhere local --older-than 1h")
    assert 'No host is called "nowhere"' in said
    assert "local: freed" in said


# runs and logs


@on_local
def test_lists_are_narrowed(notebook: Notebook) -> None:
    notebook.check("%%remote --name narrow\nfor n in range(5): print(n)")
    assert verb(notebook, "logs last --tail 2") == "3\n4\n"
    assert "narrow" in verb(notebook, "runs --host local --state done --limit 1")
    assert verb(notebook, "runs --host nobody").startswith("No run is like that")

"""What does not come home at once stays on its host, and `fetch` brings it; nothing runs on."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import kernelext
from kernelext.errors import ConnectError, RunError
from kernelext.history import History, RunRow
from kernelext.history.paths import history_path
from kernelext.link.local import local_state_dir
from kernelext.models import RunState

from .conftest import wait_until
from .interrupts import CtrlC
from .notebook import Notebook
from .orphans import Client

LIMIT_BYTES = 20_000_000  # more than the history of all tests, which is to be written on
FILES = 100
WRITE_FILES = f"""
import os, pathlib
out = pathlib.Path('data/output')
out.mkdir(parents=True, exist_ok=True)
for n in range({FILES}):
    (out / str(n)).write_bytes(os.urandom(999_983))
"""

on_local = pytest.mark.parametrize("host", ["local"], indirect=True)


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file of this process grow above a limit."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def newest() -> RunRow:
    """The history's newest run."""
    with History.open(history_path(os.environ)) as history:
        return history.run("last")


def fetch(notebook: Notebook, what: str = "last") -> str:
    """What `fetch` says."""
    return notebook.check(f"%remote fetch {what}").stdout


def test_journal_that_cannot_be_kept_ends_the_run(notebook: Notebook, host: str) -> None:
    notebook.check(f"%%remote {host}\nx = 1")
    with full_disk():
        shown = notebook.run(f"%%remote {host}\nwhile True: print('x' * 1000)")
    assert isinstance(shown.error, RunError)
    assert "cannot be kept on this machine ([Errno 27] File too large)" in str(shown.error)
    notebook.check(f"%%remote {host}\nx = 2")
    assert notebook.names["x"] == 2


def test_result_that_cannot_be_kept_stays_on_its_host(notebook: Notebook, host: str) -> None:
    notebook.check(f"%%remote {host}\nx = 1")
    with full_disk():
        shown = notebook.run(f"%%remote {host}\nimport os\nlarge = os.urandom({2 * LIMIT_BYTES})")
    assert isinstance(shown.error, RunError)
    run = newest().id
    assert "cannot be kept on this machine" in str(shown.error)
    assert f"{host} keeps them: `%remote fetch {run}`" in str(shown.error)
    assert "large" not in notebook.names
    assert "it has ended: done" in fetch(notebook, f"{run} large")
    assert len(notebook.names["large"]) == 2 * LIMIT_BYTES
    assert newest().state is RunState.DONE


def test_interrupted_files_stay_on_their_host(notebook: Notebook, host: str, project: Path) -> None:
    """What the cell had found is replaced by `fetch`, what has changed since is kept."""
    out = project / "data" / "output"
    out.mkdir(parents=True)
    last = str(FILES - 1)
    for name in (last, str(FILES - 2)):
        (out / name).write_text("found")
    with CtrlC(lambda: len(list(out.iterdir())) > 4):
        shown = notebook.run(f"%%remote {host} --out none\n{WRITE_FILES}")
    assert isinstance(shown.error, KeyboardInterrupt)
    run = newest().id
    assert f"{host} keeps them: `%remote fetch {run}`" in str(shown.error)
    assert (out / last).read_text() == "found"
    (out / last).write_text("changed since")
    said = fetch(notebook)
    assert "it has ended: done" in said
    assert f"data/output/{last} (the host's is {last}.remote)" in said
    assert (out / last).read_text() == "changed since"
    (out / last).unlink()
    assert len(list(out.iterdir())) == FILES
    assert {path.stat().st_size for path in out.iterdir()} == {999_983}
    assert newest().state is RunState.DONE
    assert fetch(notebook) == f"{run} fold 0: all of it is at home\n"


@on_local
def test_interrupted_results_stay_on_their_host(
    notebook: Notebook, host: str, data_dir: Path
) -> None:
    def is_coming() -> bool:
        return any((data_dir / "runs" / newest().id).glob("0/1/values/*.new"))

    code = "import numpy as np\nlarge = np.frombuffer(np.random.bytes(200_000_000), 'u1')"
    notebook.check(f"%%remote {host}\nx = 1")
    with CtrlC(is_coming):
        shown = notebook.run(f"%%remote {host}\n{code}")
    assert isinstance(shown.error, KeyboardInterrupt)
    assert f"its results have not come home; {host} keeps them: `%remote fetch" in str(shown.error)
    assert "bound here: large" in fetch(notebook, "last large")
    assert len(notebook.names["large"]) == 200_000_000


@on_local
def test_files_of_a_dead_client_come_home_beside_what_is_there(
    notebook: Notebook, project: Path, host: str
) -> None:
    code = (
        "import pathlib\nout = pathlib.Path('data/output')\n"
        "out.mkdir(parents=True, exist_ok=True)\nx = 1\nprint('on')\n"
        "import time; time.sleep(0.5)\n"
        "(out / 'new').write_text('there')\n(out / 'both').write_text('there')"
    )
    out = project / "data" / "output"
    with Client(project, host, code) as client:
        client.die()
    out.mkdir(parents=True, exist_ok=True)
    (out / "both").write_text("here")

    def has_ended() -> bool:
        notebook.run(f"%remote fetch {client.run} x")
        return newest().state is RunState.DONE

    wait_until(has_ended, "the cell to end", 30)
    assert not (out / "new").exists()
    said = fetch(notebook, client.run)
    assert "2 files; it has ended: done" in said
    assert "Here already, and not as the cell found it" in said
    names = {path.name: path.read_text() for path in out.iterdir()}
    assert names == {"new": "there", "both": "here", "both.remote": "there"}


def test_names_that_share_an_object_come_once(notebook: Notebook, host: str) -> None:
    notebook.check(f"%%remote {host}\nx = 1")
    notebook.check(
        f"%%remote {host}\nimport numpy as np\nx = [np.random.default_rng(0).random(500_000)]\n"
        "y = [x[0]]\nz = [x[0]]"
    )
    assert notebook.names["x"][0] is notebook.names["z"][0]
    assert newest().received_bytes < 5_000_000
    np.testing.assert_array_equal(
        kernelext.load("last", "y")[0], np.random.default_rng(0).random(500_000)
    )


def test_data_folder_that_cannot_be_written_to_is_said(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As root everything can be written to, but not a file in the place of a folder."""
    data = tmp_path / "other"
    (local_state_dir(data) / "daemon.log").mkdir(parents=True)
    monkeypatch.setenv("KERNELEXT_DATA", str(data))
    with Notebook() as notebook:
        shown = notebook.run("%%remote local\nx = 1")
    assert isinstance(shown.error, ConnectError)
    assert "cannot keep its state" in str(shown.error)
    assert "KERNELEXT_DATA" in str(shown.error)
    assert newest().state is RunState.FAILED
    assert newest().ended_at is not None

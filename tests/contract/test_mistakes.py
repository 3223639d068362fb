"""A table of mistakes: each said in a sentence with the next step, nothing left anywhere."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kernelext.errors import (
    ConnectError,
    EngineError,
    HistoryError,
    ImageNotFound,
    OptionError,
    RemoteCellError,
    RunError,
    ValueCodecError,
)

from ..lab.images import NO_PYTHON_TAG, OTHER_TAG
from ..lab.lab import Lab
from .notebook import Notebook
from .scenes import (
    FOREIGN_TAG,
    HOST,
    Arrange,
    Scene,
    as_it_is,
    data_folder,
    foreign_image,
    login_without_docker,
    newer_history,
    small_host_disk,
)
from .test_failures import fail, sentence

MEGABYTES = "import os\nX = os.urandom({} * 1024 ** 2)"


on_docker = pytest.mark.parametrize(
    "host", [pytest.param(HOST, marks=pytest.mark.lab)], indirect=True
)


@dataclass(frozen=True)
class Mistake:
    """One row: what is wrong, the cell, and what has to be said."""

    line: str
    code: str
    error: type[BaseException]
    says: tuple[str, ...]
    arrange: Arrange = as_it_is
    before: str = "pass"  # a cell that runs in the notebook first
    leaves_results: bool = False  # on the host, for `fetch`
    at: str = ""  # what to call the host, if not by its name


EVERYWHERE = {
    "input_not_there": Mistake(
        "--in absent", "kept = 1", OptionError, ("--in names absent, which the notebook does not",)
    ),
    "name_not_there": Mistake(
        "", "kept = absent + 1", NameError, ("name 'absent' is not defined",)
    ),
    "variable_not_set": Mistake(
        "--env ABSENT_HERE", "kept = 1", OptionError, ("--env names ABSENT_HERE, which is not set",)
    ),
    "newer_history": Mistake(
        "",
        "kept = 1",
        HistoryError,
        ("was written by a newer kernelext (version 99", "update kernelext"),
        newer_history,
    ),
}

ON_DOCKER = {
    "name_without_address": Mistake(
        "",
        "kept = 1",
        ConnectError,
        ("No address is known for nowhere.invalid: check how",),
        at="root@nowhere.invalid",
    ),
    "refused_login": Mistake(
        "",
        "kept = 1",
        ConnectError,
        ("refuses the login as nobody@", "offered: "),
        at="nobody@{ip}",
    ),
    "login_without_docker": Mistake(
        "",
        "kept = 1",
        EngineError,
        ("may not use Docker there; add its user to the group docker",),
        login_without_docker,
        at="plain@{ip}",
    ),
    "code_for_another_python": Mistake(
        f"--image {OTHER_TAG}",
        "kept = F[0](1)",
        ValueCodecError,
        ("F can only travel as byte code", "the image 3.9", "name an image of the notebook's"),
        before="F = [lambda n: n + 1]",
    ),
    "image_without_python": Mistake(
        f"--image {NO_PYTHON_TAG}",
        "kept = 1",
        EngineError,
        (f"the image {NO_PYTHON_TAG} has no python3", "name one that has with --image"),
    ),
    "foreign_architecture": Mistake(
        f"--image {FOREIGN_TAG}",
        "kept = 1",
        EngineError,
        (f"the image {FOREIGN_TAG} is for arm64", "x86_64", "with --image"),
        foreign_image,
    ),
    "absent_image": Mistake(
        "--image absent:1", "kept = 1", ImageNotFound, ("absent:1 is not on the host", "--image")
    ),
    "host_disk_full_of_inputs": Mistake(
        "",
        "kept = len(X)",
        RunError,
        ("the disk of host01 is full", "make room there"),
        small_host_disk,
        MEGABYTES.format(8),
    ),
    "host_disk_full_of_inputs_twice": Mistake(
        "",
        "kept = len(X)",
        RunError,
        ("the disk of host01 is full", "make room there"),
        small_host_disk,
        MEGABYTES.format(3),
    ),
    "host_disk_full_of_files": Mistake(
        "",
        "with open('file', 'wb') as file:\n    file.write(bytes(10 ** 7))\nkept = 1",
        OSError,
        ("No space left on device",),
        small_host_disk,
    ),
    "host_disk_full_of_output": Mistake(
        "",
        "for _ in range(100):\n    print('x' * 10 ** 5)\nkept = 1",
        RunError,
        ("the disk of host01 is full", "make room there"),
        small_host_disk,
    ),
    "host_disk_full_of_results": Mistake(
        "",
        MEGABYTES.format(8).replace("X", "kept"),
        OSError,
        ("The host cannot keep kept (8 MB) until it is fetched", "make room there", "--out"),
        small_host_disk,
    ),
    "home_disk_full_of_output": Mistake(
        "",
        "for _ in range(100):\n    print('x' * 10 ** 5)\nkept = 1",
        RunError,
        ("cannot be kept on this machine", "No space left on device", "run the cell again"),
        data_folder("size=2m"),
    ),
    "home_disk_full_of_results": Mistake(
        "",
        MEGABYTES.format(8).replace("X", "kept"),
        RunError,
        ("cannot be kept on this machine", "No space left on device", "keeps them: `%remote fetch"),
        data_folder("size=2m"),
        leaves_results=True,
    ),
    "home_disk_full_from_the_start": Mistake(
        "",
        "kept = 1",
        HistoryError,
        ("No space is left for the history", "free some and run again"),
        data_folder("size=8k"),
    ),
    "home_read_only": Mistake(
        "",
        "kept = 1",
        HistoryError,
        ("cannot be written", "let yourself write there", "KERNELEXT_DATA"),
        data_folder("ro"),
    ),
}


def check(mistake: Mistake, host: str, scene: Scene) -> None:
    """Make a mistake and look at what is said of it."""
    at = mistake.at.format(ip=scene.host.ip) if mistake.at else host
    with mistake.arrange(scene):
        with Notebook() as notebook:
            notebook.check(mistake.before)
            shown = fail(notebook, f"%%remote {at} {mistake.line}\n{mistake.code}")
        assert isinstance(shown.error, mistake.error), repr(shown.error)
        text = str(shown.error) if isinstance(shown.error, RemoteCellError) else sentence(shown)
        for part in mistake.says:
            assert part in text
        if mistake.leaves_results:
            with Notebook() as another:  # what a notebook has followed is in use while it lives
                said = another.check(f"%remote gc {host} --older-than 0s").stdout
            assert "results" in said


@pytest.mark.parametrize("name", EVERYWHERE)
def test_mistakes_everywhere(
    project: Path, host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    check(EVERYWHERE[name], host, Scene(tmp_path, monkeypatch, None))


@pytest.mark.parametrize("name", ON_DOCKER)
@on_docker
def test_mistakes_on_docker(
    project: Path, host: str, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    check(ON_DOCKER[name], host, Scene(tmp_path, monkeypatch, lab))


# no mistakes, but easily made ones


@pytest.fixture
def home_of_another_machine(
    tmp_path: Path, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A data folder that lies on a lab host, by sshfs."""
    folder = tmp_path / "data of another machine"
    folder.mkdir()
    environ = {**os.environ, **lab.environment()}
    share = "/srv/data"
    lab.host("host02").exec("mkdir", share)
    subprocess.run(["sshfs", f"host02:{share}", folder], env=environ, check=True)
    monkeypatch.setenv("KERNELEXT_DATA", str(folder))
    yield folder
    subprocess.run(["umount", folder], check=True)
    lab.host("host02").exec("rm", "-r", share)


@on_docker
def test_history_on_a_network_file_system(
    project: Path, host: str, home_of_another_machine: Path
) -> None:
    for number in range(2):
        with Notebook() as notebook:
            notebook.check(f"%%remote {host}\nkept = {number}\nprint('said')")
            assert notebook.names["kept"] == number
            assert len(notebook.check("%remote runs").stdout.splitlines()) == 2 + number
    file = home_of_another_machine / "history.sqlite"
    with contextlib.closing(sqlite3.connect(file)) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)


@on_docker
def test_cell_runs_on_another_python(project: Path, host: str) -> None:
    """What needs no byte code of the notebook's runs on the oldest Python there may be."""
    with Notebook() as notebook:
        notebook.check("import numpy as np\nX = np.arange(6.0).reshape(2, 3)\nnames = ['a', 'b']")
        notebook.check(
            f"%%remote {host} --image {OTHER_TAG}\nimport sys\n"
            "def scaled(by):\n    return X * by\n"
            "Y = scaled(2)\nnames.append('c')\nversion = list(sys.version_info[:2])"
        )
        assert notebook.names["version"] == [3, 9]
        assert (notebook.names["Y"] == 2 * notebook.names["X"]).all()
        assert notebook.names["names"] == ["a", "b", "c"]


# two notebooks at work on one host and project

ANOTHER_NOTEBOOK = """
import sys
from IPython.core.interactiveshell import InteractiveShell
host, own, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
shell = InteractiveShell.instance()
shell.run_cell("%load_ext kernelext").raise_error()
shell.user_ns["own"] = own
print("ready", flush=True)
sys.stdin.readline()
for number in range(rounds):
    code = "import tools\\nprint('said by', own)\\nmine = tools.square(own) + {}".format(number)
    shell.run_cell("%%remote {} --cpus 0.5\\n{}".format(host, code)).raise_error()
    assert shell.user_ns["mine"] == own ** 2 + number, shell.user_ns["mine"]
shell.run_line_magic("unload_ext", "kernelext")
"""


def test_two_notebooks_at_once_do_not_mix(project: Path, host: str) -> None:
    (project / "tools.py").write_text("def square(n):\n    return n * n\n")
    notebooks = [
        subprocess.Popen(
            [sys.executable, "-c", ANOTHER_NOTEBOOK, host, str(own), "2"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for own in (3, 5)
    ]
    for notebook in notebooks:
        assert notebook.stdout is not None
        assert notebook.stdout.readline() == "ready\n"
    for notebook in notebooks:
        assert notebook.stdin is not None
        notebook.stdin.write("go\n")
        notebook.stdin.flush()
    for notebook, own in zip(notebooks, (3, 5), strict=True):
        stdout, stderr = notebook.communicate(timeout=100)
        assert notebook.returncode == 0, stderr
        said = [line for line in stdout.splitlines() if line.startswith("said")]
        assert said == [f"said by {own}"] * 2

"""A table of mistakes: each said in a sentence with the next step, nothing left anywhere."""

from __future__ import annotations

import contextlib
import io
import json
import sqlite3
import struct
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from kernelext.errors import (
    EngineError,
    HistoryError,
    ImageNotFound,
    OptionError,
    RemoteCellError,
    RunError,
)

from ..lab.archive import Image, Layer, write_archive
from ..lab.host import Host
from ..lab.images import NO_PYTHON_TAG
from ..lab.lab import Lab
from .conftest import check_nothing_left
from .notebook import Notebook
from .test_failures import fail, sentence
from .test_hosts import remove_daemons

STATE_DIR = "/var/lib/kernelext"
FOREIGN_TAG = "foreign:dev"
ARM64 = 183  # of an ELF header
MEGABYTES = "import os\nX = os.urandom({} * 1024 ** 2)"


class ForeignImage(Image):
    """An image of another machine."""

    def config(self) -> bytes:
        """Return the configuration, with the other architecture."""
        return json.dumps({**json.loads(super().config()), "architecture": "arm64"}).encode()


@dataclass(frozen=True)
class Scene:
    """Where a mistake is made."""

    folder: Path
    patch: pytest.MonkeyPatch
    host: Host | None  # None on `local`


Arrange = Callable[[Scene], AbstractContextManager[None]]


@contextlib.contextmanager
def as_it_is(_: Scene) -> Iterator[None]:
    """Change nothing."""
    yield


@contextlib.contextmanager
def small_host_disk(scene: Scene) -> Iterator[None]:
    """Give the daemon a disk of 6 MB."""
    host = scene.host
    assert host is not None
    remove_daemons(host)
    host.exec("mkdir", "-p", STATE_DIR)
    host.exec("mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", STATE_DIR)
    try:
        yield
        check_nothing_left(host)
    finally:
        remove_daemons(host)
        host.exec("umount", STATE_DIR)


def data_folder(options: str) -> Arrange:
    """Put the user's data folder on a disk of its own."""

    @contextlib.contextmanager
    def arrange(scene: Scene) -> Iterator[None]:
        folder = scene.folder / "data"
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
        scene.patch.setenv("KERNELEXT_DATA", str(folder))
        try:
            yield
        finally:
            subprocess.run(["umount", folder], check=True)

    return arrange


@contextlib.contextmanager
def newer_history(scene: Scene) -> Iterator[None]:
    """Have a history that a later version has written; it stays as it is."""
    folder = scene.folder / "data"
    folder.mkdir()
    file = folder / "history.sqlite"
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE runs (id TEXT, colour TEXT)")
        database.execute("PRAGMA user_version = 99")
    before = file.read_bytes()
    scene.patch.setenv("KERNELEXT_DATA", str(folder))
    yield
    assert file.read_bytes() == before
    assert [path.name for path in folder.iterdir()] == [file.name]


@contextlib.contextmanager
def foreign_image(scene: Scene) -> Iterator[None]:
    """Load an image whose Python is another machine's."""
    assert scene.host is not None
    header = b"\x7fELF\2\1\1".ljust(16, b"\0") + struct.pack("<HHI", 2, ARM64, 1).ljust(48, b"\0")
    layer = scene.folder / "layer.tar"
    with tarfile.open(layer, "w") as out:
        member = tarfile.TarInfo("usr/bin/python3")
        member.size, member.mode = len(header), 0o755
        out.addfile(member, io.BytesIO(header))
    archive = scene.folder / "foreign.tar"
    write_archive([ForeignImage(FOREIGN_TAG, (Layer.of(layer),))], archive)
    with archive.open("rb") as stream:
        scene.host.exec("docker", "load", stdin=stream)
    yield
    scene.host.exec("docker", "rmi", FOREIGN_TAG)


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
    with mistake.arrange(scene):
        with Notebook() as notebook:
            notebook.check(mistake.before)
            shown = fail(notebook, f"%%remote {host} {mistake.line}\n{mistake.code}")
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
@pytest.mark.parametrize("host", [pytest.param("host01", marks=pytest.mark.lab)], indirect=True)
def test_mistakes_on_docker(
    project: Path, host: str, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    check(ON_DOCKER[name], host, Scene(tmp_path, monkeypatch, lab.host(host)))


# no mistake, but easily made one: two notebooks at work on one host and project

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

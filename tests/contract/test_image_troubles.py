"""What goes wrong with images: networks, disks, files, two at once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from kernelext.errors import DiskFull, EngineError, HostError, ImageBuildError

from ..image.wheels import Index, make_wheel
from ..lab.host import Host
from ..lab.images import PLAIN_TAG
from .conftest import wait_until
from .notebook import Notebook
from .scenes import Scene, small_host_disk
from .test_failures import fail, sentence
from .test_image import CELL, hosts, image_ids, index, write_project

__all__ = ["hosts", "index"]  # fixtures

CONSOLE = "import sys; from kernelext.cli import main; sys.exit(main())"


def make_slow_wheel(folder: Path, text: str) -> None:
    """Write a wheel that takes some seconds to be installed, and that no host has seen."""
    lines = "\n".join(f"def f{n}(x):\n    return [x + i for i in range({n})]" for n in range(9000))
    make_wheel(folder, "slow", files={f"slow/m{n}.py": f"{lines}  # {text}" for n in range(4)})


def is_building(host: Host) -> bool:
    """Whether a host builds an image."""
    return bool(host.exec("docker", "ps", "-q", "--filter", "name=kernelext-build").stdout)


@pytest.mark.faults
def test_cable_is_pulled_in_a_build(
    lab_notebook: Notebook,
    project: Path,
    hosts: list[Host],
    index: Index,
    lab_hosts: list[Host],
    tmp_path: Path,
) -> None:
    make_slow_wheel(index.folder, str(tmp_path))
    write_project(project, "slow")

    def trouble() -> None:
        wait_until(lambda: is_building(hosts[0]), "the build to begin")
        hosts[0].partition()
        wait_until(lambda: lab_notebook.has_displayed("unreachable"), "the silence to be told", 40)
        hosts[0].heal()

    beside = threading.Thread(target=trouble)
    beside.start()
    shown = lab_notebook.run("%remote image build --on host01")
    beside.join()
    assert shown.error is None, shown.traceback
    assert "host01 has kernelext/env:" in shown.stdout
    assert len(image_ids(hosts[0])) == 1


def test_two_consoles_build_the_same_at_once(
    project: Path, hosts: list[Host], index: Index, tmp_path: Path
) -> None:
    make_slow_wheel(index.folder, str(tmp_path))
    write_project(project, "slow")
    argv = [sys.executable, "-c", CONSOLE, "image", "build", "--on", "host01"]
    both = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [each.communicate()[0] for each in both]
    assert [each.returncode for each in both] == [0, 0]
    assert all("host01 has kernelext/env:" in text for text in said)
    assert len(image_ids(hosts[0])) == 1
    assert not hosts[0].exec("ls", "/var/lib/kernelext/builds").stdout


def test_disk_of_the_host_is_full(
    lab_notebook: Notebook,
    hosts: list[Host],
    lab: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "own.tar.gz"
    with small_host_disk(Scene(tmp_path, monkeypatch, lab), 20):  # some chunks fit
        shown = fail(lab_notebook, f"%remote image save {file} {PLAIN_TAG} --on host01")
        assert isinstance(shown.error, DiskFull)
        assert "host01: its disk is full" in sentence(shown)
        found = hosts[0].exec("find", "/var/lib/kernelext/blobs", "-type", "f").stdout
        assert not found
    assert list(tmp_path.glob("own*")) == []


def test_file_that_is_not_whole(
    lab_notebook: Notebook, project: Path, hosts: list[Host], index: Index, tmp_path: Path
) -> None:
    make_wheel(index.folder, "one")
    write_project(project, "one")
    lab_notebook.check("%remote image build --on host01")
    file = tmp_path / "own.tar.gz"
    lab_notebook.check(f"%remote image save {file} --on host01")
    os.truncate(file, file.stat().st_size // 2)
    shown = fail(lab_notebook, f"%remote image load {file} --on host02")
    assert isinstance(shown.error, EngineError)
    assert "host02: own.tar.gz is not taken in" in sentence(shown)
    assert "is it whole" in sentence(shown)
    assert not image_ids(hosts[1])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("load {empty} --on host02", "empty.tar is no image"),
        ("save {folder} --on host02", "is a folder: name a file"),
        ("rm kernelext/env:nowhere --on host02", "no host that was asked has kernelext/env:nowh"),
    ],
)
def test_mistakes_are_said_at_once(
    lab_notebook: Notebook, hosts: list[Host], tmp_path: Path, words: str, said: str
) -> None:
    empty = tmp_path / "empty.tar"
    empty.touch()
    shown = fail(lab_notebook, f"%remote image {words.format(empty=empty, folder=tmp_path)}")
    assert isinstance(shown.error, (HostError, ImageBuildError))
    assert said in sentence(shown)


def test_one_host_of_two_fails(
    lab_notebook: Notebook, project: Path, hosts: list[Host], index: Index, tmp_path: Path
) -> None:
    make_wheel(index.folder, "one")
    write_project(project, "one")
    with (tmp_path / "config" / "kernelext.toml").open("a") as file:
        file.write('[hosts.closed]\nssh = "root@127.0.0.1:9"\n')
    shown = fail(lab_notebook, "%remote image build --on closed,host02")
    first, second = str(shown.error).splitlines()
    assert first.startswith("host02 has kernelext/env:")
    assert second.startswith("closed: ")
    assert len(image_ids(hosts[1])) == 1


def test_wheel_that_was_built_anew_under_its_name_is_brought(
    lab_notebook: Notebook, project: Path, hosts: list[Host]
) -> None:
    """In a folder of wheels that the requirements name; a cell notices."""
    folder = project / "wheels"
    folder.mkdir()
    make_wheel(folder, "one")
    write_project(project, "--no-index", "--find-links ./wheels", "one")
    lab_notebook.check(CELL.format("host01"))
    assert lab_notebook.names["said"] == "1.0"
    make_wheel(folder, "one", files={"one.py": "VERSION = 'of another build'\n"})
    lab_notebook.check(CELL.format("host01"))
    assert lab_notebook.names["said"] == "of another build"


def test_python_that_the_project_does_not_take(
    lab_notebook: Notebook, project: Path, hosts: list[Host]
) -> None:
    text = '[project]\nname = "own"\nversion = "1"\nrequires-python = "{}"\ndependencies = []\n'
    (project / "pyproject.toml").write_text(text.format(">=3.13"))
    table = f'[image]\nbase = "{PLAIN_TAG}"\nfrom = "pyproject.toml"\n'
    (project / "kernelext.toml").write_text(table)
    shown = fail(lab_notebook, "%%remote host01\nx = 1")
    assert isinstance(shown.error, ImageBuildError)
    assert "pyproject.toml asks for Python >=3.13, and python:3.11-slim has 3.11.2" in sentence(
        shown
    )
    assert not image_ids(hosts[0])
    (project / "pyproject.toml").write_text(text.format(">=3.11"))
    lab_notebook.check("%%remote host01\nx = 1")

"""What is chosen and built stays until something better is there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kernelext.errors import ImageBuildError, ImageNotFound

from ..image.wheels import Index, make_wheel
from ..lab.host import Host
from .notebook import Notebook
from .test_failures import fail, sentence
from .test_image import CELL, hosts, index, write_project

__all__ = ["hosts", "index"]  # fixtures

pytestmark = pytest.mark.timeout(600)


def test_failed_upgrade_leaves_the_image_in_use(
    lab_notebook: Notebook, project: Path, hosts: list[Host], index: Index, tmp_path: Path
) -> None:
    kept = make_wheel(index.folder, "one")
    write_project(project, "one")
    lab_notebook.check("%remote image build --on host01,host02")
    shutil.move(kept, tmp_path)
    shown = fail(lab_notebook, "%remote image build --upgrade --on host01")
    assert isinstance(shown.error, ImageBuildError)
    lab_notebook.check(CELL.format("host01"))
    assert lab_notebook.names["said"] == "1.0"
    assert "removed" not in lab_notebook.check("%remote image rm --unused --on host01").stdout

    make_wheel(index.folder, "one", "2.0")
    lab_notebook.check("%remote image build --upgrade --on host01")
    for host in ("host01", "host02"):
        lab_notebook.check(CELL.format(host))
        assert lab_notebook.names["said"] == "2.0"


def test_base_of_another_project_is_in_use(
    lab_notebook: Notebook, project: Path, hosts: list[Host], index: Index, tmp_path: Path
) -> None:
    make_wheel(index.folder, "one")
    make_wheel(index.folder, "two")
    write_project(project, "one")
    said = lab_notebook.check("%remote image build --on host01").stdout
    base = said.partition("host01 has ")[2].partition(":")[0]
    base += ":" + said.partition(f"{base}:")[2].partition(":")[0]
    upper = tmp_path / "upper"
    upper.mkdir()
    write_project(upper, "two", base=base)
    lab_notebook.check(f"%cd {upper}")
    lab_notebook.check("%remote image build --on host01")
    lab_notebook.check(f"%cd {project}")
    write_project(project, "two")
    lab_notebook.check("%remote image build --on host01")
    assert base not in lab_notebook.check("%remote image rm --unused --on host01").stdout

    lab_notebook.check(f"%remote image rm {base} --on host01")
    lab_notebook.check(f"%cd {upper}")
    write_project(upper, "one", "two", base=base)
    shown = fail(lab_notebook, "%%remote host01\nx = 1")
    assert isinstance(shown.error, ImageNotFound)
    assert f"{base}, the base of this project's image, is on none of the hosts" in sentence(shown)


def test_debian_packages_stay_when_a_wheel_is_added(
    lab_notebook: Notebook,
    project: Path,
    hosts: list[Host],
    index: Index,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_wheel(index.folder, "one")
    write_project(project)
    with (project / "kernelext.toml").open("a") as file:
        file.write('apt = ["figlet"]\n')
    lab_notebook.check("%remote image build --on host01")
    broken = tmp_path / "bin" / "apt-get"
    broken.parent.mkdir()
    broken.write_text("#!/bin/sh\nexit 7\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{broken.parent}:/usr/bin:/bin:/usr/sbin:/sbin")
    (project / "requirements.txt").write_text("one")
    lab_notebook.check(CELL.format("host01"))
    assert lab_notebook.names["said"] == "1.0"
    shown = fail(lab_notebook, "%remote image build --upgrade --on host01")
    assert isinstance(shown.error, ImageBuildError)

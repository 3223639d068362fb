"""Debian packages in the project's image, on hosts that reach no mirror."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernelext.errors import EngineError, ImageBuildError
from kernelext.history.paths import history_path
from kernelext.image.wanted import project_key
from kernelext.recipe import EPOCH_S, NAMESPACE

from ..lab.host import Host
from ..lab.images import NO_PYTHON_TAG, OTHER_TAG, PLAIN_TAG
from .notebook import Notebook
from .test_failures import fail, sentence

pytestmark = pytest.mark.timeout(600)

CELL = """%%remote {} --out said
import subprocess
said = subprocess.run({!r}, capture_output=True, text=True, check=True).stdout
"""
LATER = """
import sys
from kernelext.cli import main
sys.exit(main(["image", "build", "--on", sys.argv[1]]))
"""


@pytest.fixture
def hosts(lab_names: list[Host]) -> Iterator[list[Host]]:
    """The lab's hosts; after the test they have no image of a project."""
    yield lab_names
    for host in lab_names:
        images = host.exec("docker", "images", "-q", f"{NAMESPACE}/*").stdout.split()
        if images:
            host.exec("docker", "rmi", "-f", *images)


def write_project(project: Path, *packages: str, base: str = PLAIN_TAG) -> None:
    """Ask for an image of Debian packages alone."""
    (project / "requirements.txt").touch()
    asked = ", ".join(f'"{package}"' for package in packages)
    table = f'[image]\nbase = "{base}"\nfrom = "requirements.txt"\napt = [{asked}]\n'
    (project / "kernelext.toml").write_text(table)


def image_ids(host: Host) -> list[str]:
    """The ids of the projects' images on a host."""
    return host.exec("docker", "images", "-q", "--no-trunc", f"{NAMESPACE}/*").stdout.split()


@pytest.mark.parametrize("base", [PLAIN_TAG, OTHER_TAG])
def test_cell_runs_a_program_of_a_debian_package(
    lab_notebook: Notebook, project: Path, hosts: list[Host], base: str
) -> None:
    write_project(project, "figlet", base=base)
    lab_notebook.check(CELL.format("host01", ["figlet", "hi"]))
    assert "| |__ (_)" in lab_notebook.names["said"]
    lab_notebook.check(CELL.format("host01", ["dpkg", "-s", "figlet"]))
    assert "Status: install ok installed" in lab_notebook.names["said"]
    assert not hosts[0].exec("ls", "/var/lib/kernelext/builds").stdout


def test_same_image_on_two_hosts(
    lab_notebook: Notebook, project: Path, hosts: list[Host], tmp_path: Path
) -> None:
    """Of a package whose scripts make a user: that has a date, which must not be today's."""
    write_project(project, "figlet", "uuid-runtime")
    said = lab_notebook.check("%remote image build --on host01").stdout
    assert "Debian packages, over" in said
    later = ["faketime", "2027-05-04 03:02:01", sys.executable, "-c", LATER, "host02"]
    subprocess.run(later, check=True, env={**os.environ, "KERNELEXT_DATA": str(tmp_path)})
    (image,) = image_ids(hosts[0])
    assert image_ids(hosts[1]) == [image]
    shadow = ["run", "--rm", "-u", "0", "--entrypoint", "grep", image, "uuidd", "/etc/shadow"]
    day = hosts[0].exec("docker", *shadow).stdout.split(":")[2]
    assert day == str(EPOCH_S // 86400)


def test_folder_of_repo2docker(lab_notebook: Notebook, project: Path, hosts: list[Host]) -> None:
    (project / ".binder").mkdir()
    (project / ".binder" / "apt.txt").write_text("# shown\nfiglet\n")
    table = f'[image]\nbase = "{PLAIN_TAG}"\nfrom = ".binder"\n'
    (project / "kernelext.toml").write_text(table)
    lab_notebook.check(CELL.format("host01", ["figlet", "hi"]))
    assert "| |__ (_)" in lab_notebook.names["said"]


def test_what_cannot_be_installed_is_said(
    lab_notebook: Notebook, project: Path, hosts: list[Host]
) -> None:
    mistakes: list[tuple[str, str, type[Exception], str]] = [
        ("not-there", PLAIN_TAG, ImageBuildError, "bookworm: Unable to locate package not-there"),
        ("--force", PLAIN_TAG, ImageBuildError, "'--force' is no name of a Debian package"),
        ("figlet", NO_PYTHON_TAG, EngineError, f"the image {NO_PYTHON_TAG} has no python3"),
    ]
    for package, base, kind, said in mistakes:
        write_project(project, package, base=base)
        shown = fail(lab_notebook, "%%remote host01\nx = 1")
        assert isinstance(shown.error, kind), repr(shown.error)
        assert said in sentence(shown)
    assert not image_ids(hosts[0])


def make_deb(folder: Path, name: str, script: str) -> Path:
    """Make a package of nothing but a script, which runs when it is configured."""
    control = folder / name / "DEBIAN"
    control.mkdir(parents=True)
    fields = {"Package": name, "Version": "1", "Architecture": "all", "Description": "a script"}
    fields["Maintainer"] = "Nobody <nobody@localhost>"
    text = "".join(f"{key}: {value}\n" for key, value in fields.items())
    (control / "control").write_text(text)
    (control / "postinst").write_text(f"#!/bin/sh\n{script}\n")
    (control / "postinst").chmod(0o755)
    deb = folder / f"{name}_1_all.deb"
    subprocess.run(["dpkg-deb", "--build", str(folder / name), str(deb)], check=True)
    return deb


def test_package_whose_script_fails(
    lab_notebook: Notebook, project: Path, hosts: list[Host], tmp_path: Path
) -> None:
    """It stands in the project's lock, as if apt had chosen it."""
    write_project(project, "figlet")
    lab_notebook.check("%remote image build --on host01")
    deb = make_deb(tmp_path, "broken", "echo no such luck; exit 3")
    pin = {"name": "broken", "version": "1", "file_name": deb.name, "url": deb.as_uri()}
    pin["sha256"] = hashlib.sha256(deb.read_bytes()).hexdigest()
    notes_path = history_path(os.environ).parent / "images" / f"{project_key(project)}.json"
    notes = json.loads(notes_path.read_text())
    notes["debs"] = {base: [pin] for base in notes["debs"]}
    notes_path.write_text(json.dumps({**notes, "hosts": {}}))
    shown = fail(lab_notebook, "%%remote host01\nx = 1")
    assert isinstance(shown.error, EngineError)
    assert "the Debian packages cannot be installed (exit 1)" in str(shown.error)
    assert "no such luck" in str(shown.error)
    assert not hosts[0].exec("ls", "/var/lib/kernelext/builds").stdout

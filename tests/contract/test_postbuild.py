"""The script of a repo2docker folder, run by hosts that have no way out; its Dockerfile."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernelext.errors import EngineError

from ..image.condas import make_channel
from ..image.wheels import Index, make_wheel
from ..lab.host import Host
from ..lab.images import PLAIN_TAG
from .interrupts import CtrlC
from .notebook import Notebook
from .test_conda import HELLO, other_python
from .test_dockerfile import READ, containers, hosts, left_between
from .test_failures import fail
from .test_image import image_ids, index

__all__ = ["hosts", "index"]

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def folder(project: Path) -> Path:
    """A folder as repo2docker has it, of which the project's image is made."""
    found = project / ".binder"
    found.mkdir()
    table = f'[image]\nbase = "{PLAIN_TAG}"\nfrom = ".binder"\n'
    (project / "kernelext.toml").write_text(table)
    return found


def test_script_runs_over_the_packages(
    lab_notebook: Notebook, folder: Path, hosts: list[Host], index: Index, tmp_path: Path
) -> None:
    """As root, with its folder beside it; what it changes stays, for every user."""
    make_wheel(index.folder, "one")
    (folder / "requirements.txt").write_text("one\n")
    (folder / "runtime.txt").write_text("python-3.11\n")
    (folder / "words.txt").write_text(f"words {tmp_path}")
    (folder / "postBuild").write_text(
        "#!/bin/bash -e\n"
        "python3 -c 'import one; print(one.VERSION)' > /opt/version\n"
        "cp .binder/words.txt /opt/ && id -u > /opt/user && rm /etc/debian_version\n"
    )
    said = lab_notebook.check("%remote image build --on host01").stdout
    assert "1 wheels" in said
    assert "what postBuild has changed, over python:3.11-slim" in said
    for file, text in (("version", "1.0\n"), ("words.txt", f"words {tmp_path}"), ("user", "0\n")):
        lab_notebook.check(READ.format("host01", f"/opt/{file}"))
        assert lab_notebook.names["said"] == text
    lab_notebook.check("%%remote host01\nimport os\nthere = os.path.exists('/etc/debian_version')")
    assert not lab_notebook.names["there"]
    assert "nothing to remove" in lab_notebook.check("%remote image rm --unused --on host01").stdout
    before = image_ids(hosts[0])
    (folder / "words.txt").write_text(f"other {tmp_path}")
    lab_notebook.check(READ.format("host01", "/opt/words.txt"))
    assert lab_notebook.names["said"] == f"other {tmp_path}"
    assert len(image_ids(hosts[0])) == len(before) + 1
    lab_notebook.check(READ.format("host02", "/opt/words.txt"))
    assert set(image_ids(hosts[1])) <= set(image_ids(hosts[0]))


def test_script_runs_over_packages_of_conda(
    lab_notebook: Notebook, folder: Path, hosts: list[Host], tmp_path: Path
) -> None:
    """Its folder's `environment.yml` is as any other, and what it installs is found."""
    channel = make_channel(tmp_path / "channel", HELLO)
    text = f"channels: ['{channel}']\ndependencies: [hello]\n"
    (folder / "environment.yml").write_text(text)
    (folder / "postBuild").write_text("#!/bin/sh -e\nhello > /opt/said\n")
    said = lab_notebook.check("%remote image build --on host01").stdout
    assert "1 packages of conda, what postBuild has changed, over python:3.11-slim" in said
    lab_notebook.check(READ.format("host01", "/opt/said"))
    assert lab_notebook.names["said"] == "hello from a package"


def test_python_that_the_base_has_not_is_condas(
    lab_notebook: Notebook, folder: Path, hosts: list[Host], tmp_path: Path
) -> None:
    channel = make_channel(tmp_path / "channel", other_python(hosts[0]))
    (folder / "environment.yml").write_text(f"channels: ['{channel}']\ndependencies: []\n")
    (folder / "runtime.txt").write_text("python-3.9\n")
    (folder / "postBuild").write_text("python3 -V > /opt/said\n")
    lab_notebook.check(READ.format("host01", "/opt/said"))
    assert lab_notebook.names["said"].startswith("Python 3.9.")


def test_script_that_changes_nothing(
    lab_notebook: Notebook, folder: Path, hosts: list[Host]
) -> None:
    (folder / "postBuild").write_text("true\n")
    lab_notebook.check("%%remote host01\nx = 1")
    assert len(image_ids(hosts[0])) == 1


def test_script_that_fails_says_its_last_lines(
    lab_notebook: Notebook, folder: Path, hosts: list[Host]
) -> None:
    script = folder / "postBuild"
    script.write_text("for n in $(seq 1 30); do echo line $n; done\necho oh no >&2\nexit 3\n")
    shown = fail(lab_notebook, "%%remote host01\nx = 1")
    assert isinstance(shown.error, EngineError)
    lines = str(shown.error).splitlines()
    assert lines == ["postBuild fails (exit 3):", *(f"line {n}" for n in range(12, 31)), "oh no"]
    assert not containers(hosts[0])
    assert not image_ids(hosts[0])
    script.write_text("touch /opt/well\n")
    lab_notebook.check(READ.format("host01", "/opt/well"))
    assert lab_notebook.names["said"] == ""


def test_interrupt_ends_the_script(lab_notebook: Notebook, folder: Path, hosts: list[Host]) -> None:
    (folder / "postBuild").write_text("sleep 1000\n")

    def is_running() -> bool:
        return "postBuild" in hosts[0].exec("docker", "ps", "--no-trunc").stdout

    with CtrlC(is_running):
        shown = lab_notebook.run("%remote image build --on host01")
    assert isinstance(shown.error, KeyboardInterrupt)
    (folder / "postBuild").write_text("touch /opt/well\n")
    lab_notebook.check(READ.format("host01", "/opt/well"))
    assert not is_running()


def test_dockerfile_of_the_folder_wins(
    lab_notebook: Notebook, folder: Path, project: Path, hosts: list[Host], tmp_path: Path
) -> None:
    """It is built from the project, as repo2docker does it."""
    (folder / "postBuild").write_text("exit 1\n")
    (folder / "requirements.txt").write_text("nowhere\n")
    (project / "kernelext.toml").write_text('[image]\nfrom = ".binder"\n')
    (project / "words.txt").write_text(f"words {tmp_path}")
    (folder / "Dockerfile").write_text(f"FROM {PLAIN_TAG}\nCOPY words.txt /opt/\n")
    lab_notebook.check(READ.format("host01", "/opt/words.txt"))
    assert lab_notebook.names["said"] == f"words {tmp_path}"
    assert not left_between(hosts[0])


def test_packages_over_a_dockerfile(
    lab_notebook: Notebook, project: Path, hosts: list[Host], index: Index, tmp_path: Path
) -> None:
    make_wheel(index.folder, "one")
    (project / "Dockerfile").write_text(f"FROM {PLAIN_TAG}\nRUN echo {tmp_path} > /opt/said\n")
    table = '[image]\nfrom = "Dockerfile"\npackages = ["one"]\n'
    (project / "kernelext.toml").write_text(table)
    lab_notebook.check(READ.format("host01", "/opt/said") + "\nimport one\nversion = one.VERSION")
    assert lab_notebook.names["said"] == f"{tmp_path}\n"
    listed = lab_notebook.check("%remote image ls --on host01").stdout
    assert listed.count(str(project)) == 2

"""Images that came otherwise than by a build, are in use, or would be built; from a console too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kernelext.cli import main
from kernelext.errors import HostError, ImageNotFound
from kernelext.hosts.config import HostConfig
from kernelext.link import HostLink
from kernelext.models import AttemptId, EndCause, RunSpec, RunState, Task
from kernelext.recipe import NAMESPACE

from ..image.wheels import Index, make_wheel
from ..lab.host import Host
from ..lab.images import PLAIN_TAG
from .conftest import wait_until
from .notebook import Notebook
from .test_failures import fail, sentence
from .test_image import CELL, hosts, image_ids, index, operations, requests, write_project

__all__ = ["hosts", "index", "requests"]  # fixtures

BASE = "own-base:3"  # an image that no registry has


@pytest.fixture
def base(lab_names: list[Host]) -> Iterator[str]:
    """A base image that one host alone has."""
    lab_names[0].exec("docker", "tag", PLAIN_TAG, BASE)
    yield BASE
    for host in lab_names:
        host.exec("docker", "rmi", BASE, check=False)


def tags(host: Host) -> list[str]:
    """What the projects' images on a host are called."""
    listed = host.exec("docker", "images", "--format", "{{.Repository}}:{{.Tag}}", f"{NAMESPACE}/*")
    return listed.stdout.split()


# what a host keeps of an image that was saved


def blobs(host: Host) -> set[str]:
    """The blobs of a host."""
    found = host.exec("find", "/var/lib/kernelext/blobs", "-type", "f", "-printf", "%f\\n").stdout
    return set(found.split())


def test_saved_or_sent_image_leaves_nothing_more_on_its_host(
    lab_notebook: Notebook,
    project: Path,
    hosts: list[Host],
    index: Index,
    tmp_path: Path,
) -> None:
    make_wheel(index.folder, "one")
    write_project(project, "one")
    lab_notebook.check(CELL.format("host01"))
    before = blobs(hosts[0])
    file = tmp_path / "own.tar.gz"
    lab_notebook.check(f"%remote image save {file} --on host01")
    assert blobs(hosts[0]) == before
    lab_notebook.check(f"%%remote host02 --image {tags(hosts[0])[0]}\nimport one")
    assert blobs(hosts[0]) == before
    lab_notebook.check(f"%remote image load {file} --on host01")
    kept = blobs(hosts[0])
    lab_notebook.check(f"%remote image save {file} --on host01")
    assert blobs(hosts[0]) == kept


# an image without its base


def test_loaded_image_is_used_without_its_base(
    project: Path,
    hosts: list[Host],
    index: Index,
    base: str,
    requests: list[dict[str, Any]],
    tmp_path: Path,
) -> None:
    make_wheel(index.folder, "one")
    write_project(project, "one", base=base)
    file = tmp_path / "own.tar.gz"
    with Notebook() as notebook:
        shown = notebook.check("%remote image build --on host01")
        steps = [table for each in shown.displays if (table := each["data"].get("text/plain"))]
        assert all(step.startswith("host01: ") for step in steps)
        assert (bool(steps), shown.tables[-1:], shown.stderr) == (True, [""], "")
        notebook.check(f"%remote image save {file} --on host01")
        notebook.check(f"%remote image load {file} --on host02")
    requests.clear()
    with Notebook() as notebook:
        notebook.check(CELL.format("host02"))
        assert notebook.names["said"] == "1.0"
        assert [each["image"] for each in requests if each["op"] == "image"] == tags(hosts[0])
        hosts[0].exec("docker", "rmi", base)  # else it is sent
        said = notebook.check("%remote image build --on host02").stdout
        assert f"host02 has {tags(hosts[0])[0]} and no {base}" in said
    assert image_ids(hosts[1]) == image_ids(hosts[0])


def test_image_of_another_machine_is_used_if_it_has_what_is_asked_for(
    project: Path,
    hosts: list[Host],
    index: Index,
    base: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_wheel(index.folder, "one")
    write_project(project, "one", base=base)
    file = tmp_path / "own.tar.gz"
    with Notebook() as notebook:
        notebook.check("%remote image build --on host01")
        notebook.check(f"%remote image save {file} --on host01")
    hosts[0].exec("docker", "rmi", base)
    monkeypatch.setenv("KERNELEXT_DATA", str(tmp_path / "other"))  # which knows no image
    with Notebook() as notebook:
        write_project(project, "one>1", base=base)
        said = notebook.check(f"%remote image load {file} --on host02").stdout
        assert f"`--image {tags(hosts[1])[0]}` runs a cell in it" in said
        assert isinstance(fail(notebook, CELL.format("host02")).error, ImageNotFound)
        write_project(project, "one>=1", base=base)
        said = notebook.check(f"%remote image load {file} --on host02").stdout
        assert "this project's cells run in it there" in said
        notebook.check(CELL.format("host02"))
        assert notebook.names["said"] == "1.0"


def test_image_that_was_sent_is_used_without_its_base(
    project: Path, hosts: list[Host], index: Index, base: str
) -> None:
    make_wheel(index.folder, "one")
    write_project(project, "one", base=base)
    with Notebook() as notebook:
        notebook.check(CELL.format("host01"))
        notebook.check(f"%%remote host02 --image {tags(hosts[0])[0]}\nimport one")
    with Notebook() as notebook:
        notebook.check(CELL.format("host02"))
    assert image_ids(hosts[1]) == image_ids(hosts[0])
    assert not hosts[1].exec("docker", "images", "-q", base).stdout


def test_image_over_another_base_is_not_taken_for_it(
    lab_notebook: Notebook, project: Path, hosts: list[Host], index: Index, base: str
) -> None:
    """What the project asks for is another image, though the wheels are the same."""
    make_wheel(index.folder, "one")
    write_project(project, "one", base=base)
    lab_notebook.check(CELL.format("host01"))
    write_project(project, "one", base="absent:1")
    shown = fail(lab_notebook, CELL.format("host01"))
    assert isinstance(shown.error, ImageNotFound)


# images in use


SLEEPS = "import time\ntime.sleep(60)"


def test_image_in_use_is_removed_when_its_run_has_ended(
    lab_notebook: Notebook, project: Path, hosts: list[Host], index: Index, lab_names: list[Host]
) -> None:
    make_wheel(index.folder, "one")
    write_project(project, "one")
    lab_notebook.check("%remote image build --on host01")
    (tag,) = tags(hosts[0])
    link = HostLink(HostConfig("host01", ssh="host01"), os.environ, Path("none"))
    link.connect()
    attempt = AttemptId("busyrun", "0", 1)
    spec = RunSpec("busyrun", "somebody", "sleeps", SLEEPS, "cell", image=tag)
    assert not link.submit(spec, [Task("0", 1)], [], {})
    wait_until(lambda: link.attempt(attempt)[0] is RunState.RUNNING, "the run to begin")
    shown = fail(lab_notebook, f"%remote image rm {tag} --on host01")
    assert isinstance(shown.error, HostError)
    assert f"{tag} is what busyrun (sleeps) runs in: wait for it or `cancel` it" in sentence(shown)
    assert link.attempt(attempt)[0] is RunState.RUNNING
    link.kill(attempt, EndCause.USER_INTERRUPT)
    wait_until(lambda: link.attempt(attempt)[0].is_final, "the run to end")
    lab_notebook.check(f"%remote image rm {tag} --on host01")  # its container may be there yet
    assert not tags(hosts[0])
    link.release(attempt)
    link.close()


def test_image_of_a_container_that_idles_is_removed(
    lab_notebook: Notebook, project: Path, hosts: list[Host], index: Index
) -> None:
    make_wheel(index.folder, "one")
    write_project(project, "one")
    lab_notebook.check("%remote image build --on host01")
    (tag,) = tags(hosts[0])
    labels = ["--label", "kernelext.state=/var/lib/kernelext"]
    labels += ["--label", "kernelext.container=kernelext-idle"]
    sleep = ["--entrypoint", "sleep", tag, "600"]
    hosts[0].exec("docker", "run", "-d", "--name", "kernelext-idle", *labels, *sleep)
    lab_notebook.check(f"%remote image rm {tag} --on host01")
    assert not tags(hosts[0])


def test_image_of_somebody_elses_container_stays(
    lab_notebook: Notebook, project: Path, hosts: list[Host], index: Index
) -> None:
    make_wheel(index.folder, "one")
    write_project(project, "one")
    lab_notebook.check("%remote image build --on host01")
    (tag,) = tags(hosts[0])
    hosts[0].exec("docker", "create", "--name", "foreign", tag)
    try:
        shown = fail(lab_notebook, f"%remote image rm {tag} --on host01")
        assert "foreign on the host, which kernelext has not made, uses it" in sentence(shown)
        assert "(docker rm foreign)" in sentence(shown)
    finally:
        hosts[0].exec("docker", "rm", "foreign")
    lab_notebook.check(f"%remote image rm {tag} --on host01")


def test_host_that_is_no_more_is_not_asked(
    lab_notebook: Notebook, hosts: list[Host], tmp_path: Path
) -> None:
    config = tmp_path / "config" / "kernelext.toml"
    before = config.read_text() if config.exists() else ""
    config.parent.mkdir(exist_ok=True)
    config.write_text(f'{before}\n[hosts.gone]\nssh = "host01"\n')
    lab_notebook.check("%%remote gone\nx = 1")
    config.write_text(before)
    assert "gone" not in lab_notebook.check("%remote image ls").stdout
    assert "gone: No host is called" in lab_notebook.check("%remote image ls --on gone").stdout


# --dry-run


def test_dry_run_names_the_image_that_is_built_or_would_be(
    lab_notebook: Notebook,
    project: Path,
    hosts: list[Host],
    index: Index,
    requests: list[dict[str, Any]],
) -> None:
    make_wheel(index.folder, "one", needs=("two",))
    make_wheel(index.folder, "two")
    write_project(project, "one")
    cell = "%%remote {} --dry-run\nimport one"
    text = lab_notebook.check(cell.format("host01")).stdout
    asked = "requirements.txt, 1 packages and what they need, over python:3.11-slim"
    assert f"built first: {asked}" in text
    assert operations(requests) == []
    assert not image_ids(hosts[0])
    lab_notebook.check(CELL.format("host01"))
    (tag,) = tags(hosts[0])
    requests.clear()
    assert f"{tag}\n" in lab_notebook.check(cell.format("host01")).stdout
    text = lab_notebook.check(cell.format("host02")).stdout
    assert f"{tag}, built first if absent: requirements.txt, 2 packages, over" in text
    assert operations(requests) == []


# on a console


def test_console_finds_the_base_on_another_host_of_the_users_file(
    project: Path,
    hosts: list[Host],
    index: Index,
    base: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_wheel(index.folder, "one")
    write_project(project, "one", base=base)
    assert main(["image", "build", "--on", "host02"]) == 0
    assert "host02 has kernelext/env:" in capsys.readouterr().out
    ids = [host.exec("docker", "images", "-q", "--no-trunc", base).stdout for host in hosts]
    assert ids[0] == ids[1] != ""
    assert main(["image", "save", str(project / "own.tar.gz"), "--on", "host03"]) == 0
    assert image_ids(hosts[2]) == image_ids(hosts[1])


def test_console_says_whom_it_has_asked(
    project: Path,
    hosts: list[Host],
    index: Index,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    make_wheel(index.folder, "one")
    write_project(project, "one", base="absent:1")
    with (tmp_path / "config" / "kernelext.toml").open("a") as file:
        file.write('[hosts.closed]\nssh = "root@127.0.0.1:9"\n')
    assert main(["image", "build", "--on", "host02"]) == 1
    said = capsys.readouterr().err
    assert "absent:1 is not on the host" in said
    asked = said.partition("asked too: ")[2].partition(";")[0]
    assert sorted(asked.split(", ")) == ["host01", "host03"]
    assert said.strip().endswith("no answer from closed")

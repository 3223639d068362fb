"""Images of Dockerfiles, built by hosts that have no way out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kernelext.errors import EngineError, ImageBuildError, ImageNotFound, SecretsFound
from kernelext.history import History
from kernelext.history.paths import history_path
from kernelext.link.client import DaemonClient

from ..image.wheels import Index, make_wheel
from ..lab.host import Host
from ..lab.images import LAB_TAG, NO_PYTHON_TAG, PLAIN_TAG
from .conftest import wait_until
from .interrupts import CtrlC
from .notebook import Notebook
from .test_daemon_restart import docker_kill
from .test_failures import fail, sentence
from .test_image import image_ids, index, operations, remove_images

__all__ = ["index"]

pytestmark = pytest.mark.timeout(300)

READ = "%%remote {} --out said\nfrom pathlib import Path\nsaid = Path({!r}).read_text()"
OWN_BASE = "own-base:3"
UUID = "/proc/sys/kernel/random/uuid"  # another text at each reading


@pytest.fixture
def hosts(lab_names: list[Host]) -> Iterator[list[Host]]:
    """The lab's hosts, without images of ours; after the test they have what they had before."""
    remove_images(lab_names)
    before = {host.name: all_images(host) for host in lab_names}
    yield lab_names
    remove_images(lab_names)
    for host in lab_names:
        assert all_images(host) == before[host.name]
        assert not containers(host)


def all_images(host: Host) -> set[str]:
    """The ids of all images, also of those that are steps of others."""
    return set(host.exec("docker", "images", "-aq", "--no-trunc").stdout.split())


def containers(host: Host) -> list[str]:
    """The containers that are not the daemon's."""
    listed = host.exec("docker", "ps", "-a", "--format", "{{.Names}}").stdout.split()
    return [name for name in listed if not name.startswith("kernelext-daemon")]


def left_between(host: Host) -> list[str]:
    """The images that have no name and are no step of one that has."""
    return host.exec("docker", "images", "-q", "--filter", "dangling=true").stdout.split()


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict[str, Any], bytes]]:
    """The requests that daemons are sent, with what comes with them."""
    found: list[tuple[dict[str, Any], bytes]] = []
    send = DaemonClient.send

    def noted(self: DaemonClient, header: dict[str, Any], body: bytes = b"") -> Any:
        found.append((header, bytes(body)))
        return send(self, header, body)

    monkeypatch.setattr(DaemonClient, "send", noted)
    return found


def write_dockerfile(project: Path, *lines: str, base: str = PLAIN_TAG) -> None:
    """Ask for what a Dockerfile makes."""
    (project / "Dockerfile").write_text("\n".join((f"FROM {base}", *lines)))
    (project / "kernelext.toml").write_text('[image]\nfrom = "Dockerfile"\n')


def test_cell_runs_in_what_a_dockerfile_makes(
    lab_notebook: Notebook,
    project: Path,
    hosts: list[Host],
    requests: list[tuple[dict[str, Any], bytes]],
    tmp_path: Path,
) -> None:
    """A change of what it may copy is another image; nothing changed asks for nothing more."""
    lab_notebook.check(f"%%remote host01 --image {PLAIN_TAG}\nx = 1")
    requests.clear()
    lab_notebook.check(f"%%remote host01 --image {PLAIN_TAG}\nx = 1")
    plain = operations([header for header, _ in requests])
    write_dockerfile(
        project,
        "ARG WHO=world",
        "COPY greeting.txt more/ /opt/here/",
        'RUN echo "$(cat /opt/here/greeting.txt), $WHO" > /opt/said',
        "ENV LEVEL=3",
    )
    (project / "greeting.txt").write_text(f"hello {tmp_path}")
    (project / "more").mkdir()
    (project / "more" / "deep.txt").write_text("deep")
    (project / "notes.txt").write_text("of no use there")
    (project / ".dockerignore").write_text("notes.txt\nDockerfile\n*.ipynb\n")
    lab_notebook.check(READ.format("host01", "/opt/said"))
    assert lab_notebook.names["said"] == f"hello {tmp_path}, world\n"
    lab_notebook.check("%%remote host01\nimport os\nlevel = os.environ['LEVEL']")
    assert lab_notebook.names["level"] == "3"
    lab_notebook.check(READ.format("host01", "/opt/here/deep.txt"))
    requests.clear()
    (project / "notes.txt").write_text("changed")
    lab_notebook.check(READ.format("host01", "/opt/said"))
    assert operations([header for header, _ in requests]) == plain
    with History.open(history_path(os.environ)) as history:
        (attempt,) = history.attempts(history.run("last").id)
    assert [attempt.image_digest] == image_ids(hosts[0])
    requests.clear()
    (project / "greeting.txt").write_text(f"good day {tmp_path}")
    lab_notebook.check(READ.format("host01", "/opt/said"))
    assert lab_notebook.names["said"] == f"good day {tmp_path}, world\n"
    bodies = [body for header, body in requests if header["op"] == "put"]
    assert any(f"good day {tmp_path}".encode() in body for body in bodies)
    assert not any(b"deep" in body.replace(b"deep.txt", b"") for body in bodies)
    assert len(image_ids(hosts[0])) == 2
    assert not left_between(hosts[0])


def test_several_stages_and_images(
    lab_notebook: Notebook, project: Path, hosts: list[Host], tmp_path: Path
) -> None:
    """One has no Python, as compilers' images have none; a stage is not made again for nothing."""
    text = (
        f"ARG TAG=dev\nFROM nopython:$TAG AS maker\nRUN cat {UUID} > /made # {tmp_path}\n"
        f"FROM {PLAIN_TAG}\nCOPY --from=maker /made /opt/made\n"
        f"COPY --from={NO_PYTHON_TAG} /etc/debian_version /opt/version\n"
    )
    (project / "Dockerfile").write_text(text)
    (project / "kernelext.toml").write_text('[image]\nfrom = "Dockerfile"\n')
    lab_notebook.check(READ.format("host01", "/opt/made"))
    made = lab_notebook.names["said"]
    lab_notebook.check(READ.format("host01", "/opt/version"))
    (project / "Dockerfile").write_text(f"{text}RUN true\n")
    lab_notebook.check("%remote image build --on host01")
    assert "nothing" not in lab_notebook.check("%remote image rm --unused --on host01").stdout
    (project / "Dockerfile").write_text(f"{text}RUN true; true\n")
    lab_notebook.check(READ.format("host01", "/opt/made"))
    assert lab_notebook.names["said"] == made
    assert not left_between(hosts[0])


def test_step_that_fails_says_its_last_lines(
    lab_notebook: Notebook, project: Path, hosts: list[Host], tmp_path: Path
) -> None:
    write_dockerfile(
        project,
        f"RUN echo {tmp_path}",
        "RUN (for n in $(seq 1 30); do echo line $n; done; echo oh no) >&2; exit 7",
    )
    shown = fail(lab_notebook, "%%remote host01\nx = 1")
    assert isinstance(shown.error, EngineError)
    said = str(shown.error)
    assert "Dockerfile fails in step 3 of 3 (RUN (for n in $(seq 1 30); do echo" in said
    assert "returned a non-zero code: 7" in said
    assert said.splitlines()[1:] == [*(f"line {n}" for n in range(12, 31)), "oh no"]
    assert not left_between(hosts[0])
    assert not image_ids(hosts[0])


def test_what_cannot_be_built_is_said(
    lab_notebook: Notebook, project: Path, hosts: list[Host]
) -> None:
    mistakes: list[tuple[str, type[Exception], str]] = [
        (f"FROM {PLAIN_TAG}\nRUNN x", EngineError, "line 2: unknown instruction: RUNN"),
        (f"FROM {PLAIN_TAG}\nCOPY absent /", EngineError, "step 2 of 2 (COPY absent /): COPY"),
        ("FROM absent:1\nRUN true", ImageNotFound, "absent:1 is not on the host"),
        ("", EngineError, "the engine does not build Dockerfile: "),
        (f"FROM {NO_PYTHON_TAG}", EngineError, "Dockerfile is built, but no cell can run in"),
    ]
    (project / "kernelext.toml").write_text('[image]\nfrom = "Dockerfile"\n')
    for text, kind, said in mistakes:
        (project / "Dockerfile").write_text(text)
        shown = fail(lab_notebook, "%%remote host01\nx = 1")
        assert isinstance(shown.error, kind), repr(shown.error)
        assert said in sentence(shown)
        assert not image_ids(hosts[0])
    assert not hosts[0].exec("ls", "/var/lib/kernelext/builds").stdout
    write_dockerfile(project)
    (project / "kernelext.toml").write_text(f'[image]\nfrom = "Dockerfile"\nbase = "{LAB_TAG}"\n')
    shown = fail(lab_notebook, "%%remote host01\nx = 1")
    assert isinstance(shown.error, ImageBuildError)
    assert "whose FROM says what it starts from: leave `base` out" in sentence(shown)


def test_secrets_are_not_sent(lab_notebook: Notebook, project: Path, hosts: list[Host]) -> None:
    """A rule of Git's does not keep them at home: Docker knows none."""
    write_dockerfile(project, "COPY . /opt/all/")
    (project / ".env").write_text("TOKEN=1")
    (project / ".gitignore").write_text(".env\n")
    shown = fail(lab_notebook, "%%remote host01\nx = 1")
    assert isinstance(shown.error, SecretsFound)
    assert ".dockerignore" in sentence(shown)


def test_base_and_result_come_from_another_host(
    lab_notebook: Notebook, project: Path, hosts: list[Host], tmp_path: Path
) -> None:
    hosts[0].exec("docker", "tag", NO_PYTHON_TAG, OWN_BASE)
    try:
        (project / "Dockerfile").write_text(
            f"FROM {OWN_BASE} AS first\nFROM {PLAIN_TAG}\nCOPY --from=first /etc/hostname /opt/\n"
            f"RUN cat {UUID} > /opt/said # {tmp_path}\n"
        )
        (project / "kernelext.toml").write_text('[image]\nfrom = "Dockerfile"\n')
        lab_notebook.check(f"%%remote host01 --image {PLAIN_TAG}\nx = 1")
        lab_notebook.check(READ.format("host02", "/opt/said"))
        lab_notebook.check(READ.format("host01", "/opt/said"))
        assert image_ids(hosts[0]) == image_ids(hosts[1]) != []
    finally:
        for host in hosts:
            host.exec("docker", "rmi", OWN_BASE, check=False)


def test_upgrade_carries_every_step_out_again(
    lab_notebook: Notebook, project: Path, hosts: list[Host]
) -> None:
    write_dockerfile(project, f"RUN cat {UUID} > /opt/said")
    found = []
    for words in ("", "", "--upgrade", ""):
        lab_notebook.check(f"%remote image build {words} --on host01")
        lab_notebook.check(READ.format("host01", "/opt/said"))
        found.append(lab_notebook.names["said"])
    assert found[0] == found[1] != found[2] == found[3]
    said = lab_notebook.check("%remote image rm --unused --on host01").stdout
    assert said.count("removed") == 1
    assert not left_between(hosts[0])


def test_build_names_a_dockerfile(
    lab_notebook: Notebook, project: Path, hosts: list[Host], tmp_path: Path
) -> None:
    """The project's cells run in what it makes from then on, as in any image that was built."""
    run = f"RUN echo now it waits; sleep 2; echo {tmp_path} > /opt/said"
    (project / "own.Dockerfile").write_text(f"FROM {PLAIN_TAG}\n{run}\n")
    shown = lab_notebook.check("%remote image build own.Dockerfile --on host01")
    step = "step 2 of 2, RUN echo now it waits; sleep 2; echo ...: now it waits"
    assert any(step in each for each in shown.tables)
    assert ": what own.Dockerfile makes, Python 3.11" in shown.stdout
    lab_notebook.check(READ.format("host01", "/opt/said"))
    assert lab_notebook.names["said"] == f"{tmp_path}\n"
    listed = lab_notebook.check("%remote image ls --on host01").stdout
    assert str(project) in listed
    said = lab_notebook.check("%remote image build --on host02").stdout
    assert ": what own.Dockerfile makes" in said
    (project / "requirements.txt").touch()
    (project / "kernelext.toml").write_text('[image]\nfrom = "requirements.txt"\n')
    shown = fail(lab_notebook, "%remote image build own.Dockerfile --on host01")
    assert 'write from = "own.Dockerfile" there' in sentence(shown)


def test_container_that_builds_says_its_last_lines(
    lab_notebook: Notebook, project: Path, hosts: list[Host], index: Index
) -> None:
    """Of wheels, in an image whose Python fails at that alone."""
    make_wheel(index.folder, "one")
    script = project / "python3"
    script.write_text(
        '#!/bin/sh\ncase "$*" in *builder*) for n in $(seq 1 30); do echo line $n; done; exit 4;;'
        ' esac\nexec /usr/bin/python3.11 "$@"\n'
    )
    script.chmod(0o755)
    write_dockerfile(project, "COPY python3 /usr/local/bin/")
    (project / "kernelext.toml").write_text('[image]\nfrom = "Dockerfile"\npackages = ["one"]\n')
    shown = fail(lab_notebook, "%%remote host01\nx = 1")
    assert isinstance(shown.error, EngineError)
    lines = str(shown.error).splitlines()
    assert lines[0] == "the build container ended with 4"
    assert lines[1:] == [f"line {n}" for n in range(11, 31)]


def test_interrupt_ends_what_a_step_runs(
    lab_notebook: Notebook, project: Path, hosts: list[Host], tmp_path: Path
) -> None:
    write_dockerfile(project, f"RUN echo {tmp_path}; sleep 1000")

    def is_building() -> bool:
        return "sleep 1000" in hosts[0].exec("docker", "ps", "--no-trunc").stdout

    with CtrlC(is_building):
        shown = lab_notebook.run("%%remote host01\nx = 1")
    assert isinstance(shown.error, KeyboardInterrupt)
    wait_until(lambda: not is_building(), "the step to end")
    write_dockerfile(project, "RUN true")
    lab_notebook.check("%%remote host01\nx = 2")
    assert not left_between(hosts[0])


def test_daemon_that_is_killed_leaves_nothing(
    lab_notebook: Notebook, project: Path, hosts: list[Host], tmp_path: Path
) -> None:
    """The cell has it built again as soon as there is another."""
    write_dockerfile(
        project,
        f"RUN touch /opt/first # {tmp_path}",
        "COPY slow /opt/",
        "RUN touch /opt/begun; sh /opt/slow",
    )
    (project / "slow").write_text("sleep 1000")
    killed: list[str] = []

    def last_steps() -> list[str]:
        listed = hosts[0].exec("docker", "ps", "--no-trunc", "--format", "{{.ID}} {{.Command}}")
        return [line.split()[0] for line in listed.stdout.splitlines() if "/opt/slow" in line]

    def is_begun_again() -> bool:
        found = last_steps()
        if found and not killed:
            killed.extend(found)
            docker_kill(hosts[0])
            return False
        return bool(found) and not set(found) & set(killed)

    with CtrlC(is_begun_again):
        shown = lab_notebook.run("%%remote host01\nx = 1")
    assert isinstance(shown.error, KeyboardInterrupt)
    wait_until(lambda: not last_steps() and not left_between(hosts[0]), "the steps to go")

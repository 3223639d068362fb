"""Fixtures of the contract suite: the same notebook over `local` and over a lab host."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kernelext.errors import KernelExtError
from kernelext.link.client import DaemonClient
from kernelext.link.local import connect_local, local_state_dir
from kernelext.link.pipe import SocketAbsent

from ..lab.host import Host
from ..lab.lab import Lab
from .notebook import Notebook

IMAGE = "kernelext-lab:dev"
GONE_S = 15.0
CLEAR = (
    "docker rm -f $(docker ps -aq --filter label=kernelext.container);"
    " cd /var/lib/kernelext && rm -rf runs/* work/*"
)

USER_CONFIG = f"""
[hosts.host01]
image = "{IMAGE}"
[hosts.host02]
image = "{IMAGE}"
[hosts.host03]
image = "{IMAGE}"
"""


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One data folder for all tests, so that they share the daemon of `local`."""
    path = tmp_path_factory.mktemp("data")
    yield path
    retire_local(local_state_dir(path))


def retire_local(state_dir: Path) -> None:
    """End the daemon of `local` that the tests started."""
    try:
        pipe = connect_local(state_dir)
    except SocketAbsent:
        return
    client = DaemonClient("local", pipe, lambda *_: None, lambda: None)
    try:
        client.request({"op": "retire"})
    except KernelExtError:
        return
    finally:
        client.close()
    wait_until(lambda: not (state_dir / "daemon.sock").exists(), "the daemon to end")


def wait_until(is_true: Callable[[], bool], what: str, timeout_s: float = GONE_S) -> None:
    """Wait for something that nobody announces."""
    deadline_s = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < deadline_s, f"waited {timeout_s:g} s for {what}"
        time.sleep(0.02)


@pytest.fixture
def project(tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project folder, in which the notebook runs; the user's file beside it."""
    folder = tmp_path / "project"
    folder.mkdir()
    config = tmp_path / "config" / "kernelext.toml"
    config.parent.mkdir()
    config.write_text(USER_CONFIG)
    monkeypatch.setenv("KERNELEXT_DATA", str(data_dir))
    monkeypatch.setenv("KERNELEXT_CONFIG", str(config))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))  # as in a kernel, whose folder is on the path
    return folder


@pytest.fixture(params=["local", pytest.param("host01", marks=pytest.mark.lab)])
def host(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a host; after the test nothing of ours runs there."""
    name: str = request.param
    if name != "local":
        lab: Lab = request.getfixturevalue("lab")
        for key, value in lab.environment().items():
            monkeypatch.setenv(key, value)
    yield name
    if name == "local":
        check_nothing_left_here(local_state_dir(request.getfixturevalue("data_dir")))
    else:
        check_nothing_left(lab.host(name))


@pytest.fixture
def lab_names(
    lab: Lab, lab_hosts: list[Host], monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[Host]]:
    """All lab hosts, reachable by their names; after the test nothing of ours runs there."""
    for key, value in lab.environment().items():
        monkeypatch.setenv(key, value)
    yield lab_hosts
    for each in lab_hosts:
        if each.running and not each.faults:
            check_nothing_left(each)


def check_nothing_left(host: Host) -> None:
    """Assert that no container and no attempt of ours is left on a host.

    What is left goes with the daemon all the same: one failed test is not to fail the next.
    """
    try:
        wait_until(lambda: not left_on(host), f"what runs and lies on {host.name} to be removed")
    except AssertionError as exc:
        exc.add_note(f"left on {host.name}: {left_on(host)}")
        host.exec("sh", "-c", CLEAR, check=False)
        raise


def left_on(host: Host) -> list[str]:
    """List the containers and the attempts of ours on a host."""
    listed = host.exec("docker", "ps", "-aq", "--filter", "label=kernelext.container")
    runs = host.exec("sh", "-c", "ls /var/lib/kernelext/runs /var/lib/kernelext/work", check=False)
    names = [line for line in runs.stdout.splitlines() if line and not line.endswith(":")]
    return listed.stdout.split() + names


def check_nothing_left_here(state_dir: Path) -> None:
    """Assert that no process and no folder of an attempt on `local` is left."""

    def is_clean() -> bool:
        folders = [path for name in ("work", "runs") for path in (state_dir / name).glob("*")]
        return not folders and not cell_processes(state_dir)

    wait_until(is_clean, "the processes and folders of `local` to go")


def cell_processes(state_dir: Path) -> list[int]:
    """List the processes whose home is a work directory of `local`: cells and their children."""
    home = b"HOME=" + bytes(state_dir / "work")
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and home in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


@pytest.fixture
def notebook(project: Path, host: str) -> Iterator[Notebook]:
    """A notebook in the project, with the host's environment."""
    with Notebook() as made:
        yield made


@pytest.fixture
def lab_notebook(project: Path, lab_names: list[Host]) -> Iterator[Notebook]:
    """A notebook that reaches all lab hosts."""
    with Notebook() as made:
        yield made

"""The daemon ends in the middle, or is another version: cells do not notice."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kernelext.hosts.config import HostConfig
from kernelext.link.archive import code_archive
from kernelext.link.client import DaemonClient
from kernelext.link.local import connect_local, local_state_dir
from kernelext.link.pipe import SocketAbsent
from kernelext.link.remote import container_name
from kernelext.models import PROTOCOL_VERSION, RunSpec, Task, to_json

from ..lab.host import Host
from .conftest import check_nothing_left, check_nothing_left_here, left_on, wait_until
from .notebook import Notebook
from .test_cuts import Beside, check_count

pytestmark = pytest.mark.faults

LINES = 2000
PRINTS = f"""\
import time
for n in range({LINES}):
    print("line", n)
    time.sleep(0.001)
n = {LINES}
"""
SLEEPS = "import time\ntime.sleep({seconds})\nslept = True"


def daemon_pid(state_dir: Path) -> int:
    """Find the daemon of `local` by its command line."""
    words = [b"daemon", b"--state", bytes(state_dir)]
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            line = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
            if all(word in line for word in words):
                return int(entry.name)
    raise AssertionError(f"no daemon runs for {state_dir}")


def daemon_container() -> str:
    """Name the daemon's container of a lab host."""
    return container_name(HostConfig("host01"), code_archive())


def docker_kill(host: Host) -> None:
    """Kill the daemon's container."""
    host.exec("docker", "kill", daemon_container())


def docker_restart(host: Host) -> None:
    """Restart it without mercy."""
    host.exec("docker", "restart", "-t", "0", daemon_container())


@pytest.mark.parametrize("end_daemon", [docker_kill, docker_restart])
def test_daemon_ends_in_a_run(
    lab_notebook: Notebook,
    lab_hosts: list[Host],
    data_dir: Path,
    end_daemon: Callable[[Host], None],
) -> None:
    lab_notebook.check("%%remote host01\nx = 1")
    beside = Beside(lab_notebook, data_dir)

    def trouble() -> None:
        beside.wait_printing()
        end_daemon(lab_hosts[0])
        beside.wait_printing()

    shown = beside.run(f"%%remote host01\n{PRINTS}", trouble)
    assert shown.error is None, shown.traceback
    check_count(beside, shown, LINES)
    assert lab_notebook.names["n"] == LINES


def test_local_daemon_killed_in_a_run(
    project: Path, data_dir: Path, lab_free_notebook: Notebook
) -> None:
    lab_free_notebook.check("%%remote local\nx = 1")
    beside = Beside(lab_free_notebook, data_dir)
    state_dir = local_state_dir(data_dir)

    def trouble() -> None:
        beside.wait_printing()
        os.kill(daemon_pid(state_dir), signal.SIGKILL)
        beside.wait_printing()

    shown = beside.run(f"%%remote local\n{PRINTS}", trouble)
    assert shown.error is None, shown.traceback
    check_count(beside, shown, LINES)
    check_nothing_left_here(state_dir)


def test_local_daemon_killed_and_the_adopted_cell_is_interrupted(
    project: Path, data_dir: Path, lab_free_notebook: Notebook
) -> None:
    lab_free_notebook.check("%%remote local\nx = 1")
    beside = Beside(lab_free_notebook, data_dir)
    state_dir = local_state_dir(data_dir)

    def trouble() -> None:
        beside.wait_printing()
        os.kill(daemon_pid(state_dir), signal.SIGKILL)
        beside.wait_printing()
        os.kill(os.getpid(), signal.SIGINT)

    shown = beside.run(f"%%remote local\n{PRINTS}time.sleep(60)", trouble)
    assert isinstance(shown.error, KeyboardInterrupt)
    check_nothing_left_here(state_dir)


@pytest.mark.parametrize("state", ["queued", "starting"])
def test_daemon_ends_before_the_claim(
    lab_notebook: Notebook, lab_hosts: list[Host], data_dir: Path, state: str
) -> None:
    host = lab_hosts[0]
    lab_notebook.check("%%remote host01\nx = 1")
    beside = Beside(lab_notebook, data_dir)

    def has(state: str) -> bool:
        found = host.exec("sh", "-c", "cat /var/lib/kernelext/runs/*/*/*/record.json", check=False)
        return f'"state": "{state}"' in found.stdout

    def trouble() -> None:
        wait_until(lambda: has(state), f"an attempt that is {state}")
        docker_kill(host)

    folds = "0-5"  # more than the host has cores: some wait
    shown = beside.run(
        f"%%folds {folds} --on host01\n{SLEEPS.format(seconds=1)}\nmine = fold", trouble
    )
    assert shown.error is None, shown.traceback
    assert lab_notebook.names["mine"] == {fold: fold for fold in range(6)}
    check_nothing_left(host)


@pytest.fixture
def lab_free_notebook(project: Path) -> Iterator[Notebook]:
    """A notebook that reaches `local` only."""
    with Notebook() as made:
        yield made


@contextlib.contextmanager
def started_daemon(state_dir: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon of `local`, started by hand."""
    archive = code_archive()
    path = state_dir / "code.zip"
    state_dir.mkdir(exist_ok=True)
    path.write_bytes(archive.data)
    argv = [sys.executable, "-I", "-S", str(path), "daemon", "--engine", "process"]
    argv += ["--state", str(state_dir), "--secrets", str(state_dir / "secrets"), *options]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_listening(state_dir: Path) -> None:
    """Wait until a daemon can be reached."""

    def is_there() -> bool:
        try:
            connect_local(state_dir).close()
        except SocketAbsent:
            return False
        return True

    wait_until(is_there, "the daemon")


def greet(state_dir: Path) -> str:
    """Return the version of the daemon's code."""
    client = DaemonClient("local", connect_local(state_dir), lambda *_: None, lambda: None)
    try:
        answer, _ = client.request({"op": "hello", "protocol": PROTOCOL_VERSION})
    finally:
        client.close()
    return str(answer["code"])


def test_one_daemon_a_state_directory(tmp_path: Path) -> None:
    with started_daemon(tmp_path, "--code", "first") as first:
        wait_listening(tmp_path)
        with started_daemon(tmp_path, "--code", "second") as second:
            assert second.wait(20) == 75
        assert first.poll() is None
        assert greet(tmp_path) == "first"


def test_idle_daemon_ends_itself(tmp_path: Path) -> None:
    with started_daemon(tmp_path, "--code", "first", "--idle-s", "1") as daemon:
        wait_listening(tmp_path)
        assert daemon.wait(10) == 0
    assert not (tmp_path / "daemon.sock").exists()


def test_idle_daemon_leaves_no_container(lab_hosts: list[Host], lab_notebook: Notebook) -> None:
    host = lab_hosts[2]
    lab_notebook.check("%%remote host03\nx = 1")
    wait_until(lambda: not left_on(host), "the run to be released")
    name = daemon_container()
    host.exec("docker", "rm", "-f", name)
    mounts = ["/var/lib/kernelext", "/run/kernelext", "/var/run/docker.sock"]
    options = [word for mount in mounts for word in ("-v", f"{mount}:{mount}")]
    path = f"/var/lib/kernelext/code/{code_archive().digest}.zip"
    argv = ["docker", "run", "-d", "--name", "by-hand", "--restart", "on-failure", *options]
    argv += ["kernelext-lab:dev", "python3", "-I", "-S", path, "daemon", "--engine", "docker"]
    argv += ["--state", "/var/lib/kernelext", "--secrets", "/run/kernelext", "--code", "x"]
    host.exec(*argv, "--idle-s", "1", "--own-container", "by-hand")

    def is_gone() -> bool:
        listed = host.exec("docker", "ps", "-aq", "--filter", "name=by-hand")
        return not listed.stdout.strip()

    wait_until(is_gone, "the container of the idle daemon to go")
    lab_notebook.check("%%remote host03\nx = 2")
    assert lab_notebook.names["x"] == 2


def test_idle_daemon_of_another_version_is_retired(
    project: Path, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERNELEXT_DATA", str(tmp_path / "other"))
    state_dir = local_state_dir(tmp_path / "other")
    state_dir.parent.mkdir(parents=True)
    with started_daemon(state_dir, "--code", "older") as older:
        wait_listening(state_dir)
        with Notebook() as notebook:
            notebook.check("%%remote local\nx = 1")
            assert notebook.names["x"] == 1
            assert older.wait(5) == 0
            assert greet(state_dir) == code_archive().digest
    retire(state_dir)


def test_busy_daemon_of_another_version_is_used(
    project: Path, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERNELEXT_DATA", str(tmp_path / "other"))
    state_dir = local_state_dir(tmp_path / "other")
    state_dir.parent.mkdir(parents=True)
    with started_daemon(state_dir, "--code", "older") as older:
        wait_listening(state_dir)
        submit_sleep(state_dir)
        with Notebook() as notebook:
            notebook.check("%%remote local\nx = 1")
            assert notebook.names["x"] == 1
            assert greet(state_dir) == "older"
            assert older.poll() is None


def submit_sleep(state_dir: Path) -> None:
    """Keep a daemon busy for a while, as another client would."""
    spec = RunSpec("other", "somebody", "sleep", "import time; time.sleep(1)", "cell")
    header = {"spec": to_json(spec), "tasks": [to_json(Task("0", 1))], "inline": [], "env": {}}
    client = DaemonClient("local", connect_local(state_dir), lambda *_: None, lambda: None)
    try:
        answer, _ = client.request({"op": "submit", **header})
    finally:
        client.close()
    assert answer["missing"] == []


def retire(state_dir: Path) -> None:
    """End a daemon that a test has started."""
    client = DaemonClient("local", connect_local(state_dir), lambda *_: None, lambda: None)
    try:
        client.request({"op": "retire"})
    finally:
        client.close()
    began_s = time.monotonic()
    wait_until(lambda: not (state_dir / "daemon.sock").exists(), "the daemon to end")
    assert time.monotonic() - began_s < 5

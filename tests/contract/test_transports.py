"""One contract whatever carries it: the ssh program, Docker's contexts, sockets and TLS."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from kernelext.errors import ConnectError, EngineError, ImageNotFound, RemoteCellError
from kernelext.hosts import find_context
from kernelext.hosts.config import HostConfig
from kernelext.link.engine import ContextEngine
from kernelext.link.engine_daemon import connect_on_engine
from kernelext.link.local import LocalPipe
from kernelext.link.stream import EngineStream

from ..hosts.contexts import folder_of, write_context
from ..lab.host import Host
from .conftest import IMAGE, wait_until
from .interrupts import CtrlC, printed
from .notebook import Notebook
from .test_cuts import COUNT, Beside, check_count
from .test_failures import fail, sentence
from .tls import TlsProxy

pytestmark = pytest.mark.faults

USER_FILE = f"""
[hosts.host01]
image = "{IMAGE}"
transport = "openssh"
[hosts.program]
ssh = "root@host01"
image = "{IMAGE}"
transport = "openssh"
[hosts.engine]
context = "socket"
image = "{IMAGE}"
[hosts.behind]
context = "ssh"
image = "{IMAGE}"
[hosts.encrypted]
context = "tls"
image = "{IMAGE}"
"""
HOSTS = ["program", "engine", "behind", "encrypted"]


def engine_socket(host: Host) -> str:
    """The engine's socket as this machine sees it."""
    assert host.guest.process is not None
    return f"/proc/{host.guest.process.pid}/root/run/docker.sock"


@pytest.fixture
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Docker's configuration of this test's own."""
    folder = tmp_path / "docker"
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    return folder


@pytest.fixture
def proxy(lab_names: list[Host], tmp_path: Path) -> Iterator[TlsProxy]:
    """An engine's port with TLS."""
    with contextlib.closing(TlsProxy(engine_socket(lab_names[0]), tmp_path)) as proxy:
        yield proxy


@pytest.fixture
def notebook(
    lab_names: list[Host], docker_config: Path, proxy: TlsProxy, lab_notebook: Notebook
) -> Notebook:
    """A notebook for which host01 has many names."""
    write_context(docker_config, "socket", f"unix://{engine_socket(lab_names[0])}")
    write_context(docker_config, "ssh", "ssh://root@host01")
    write_context(docker_config, "tls", f"tcp://127.0.0.1:{proxy.port}")
    proxy.hand_out(folder_of(docker_config, "tls", "tls") / "docker")
    Path(os.environ["KERNELEXT_CONFIG"]).write_text(USER_FILE)
    return lab_notebook


@pytest.mark.parametrize("host", HOSTS)
def test_cell_reads_prints_and_binds(notebook: Notebook, host: str) -> None:
    notebook.names["x"] = np.random.default_rng(7).integers(0, 256, 5_000_000, dtype=np.uint8)
    shown = notebook.check(
        f"%%remote {host}\nimport sys\ny = x[::-1].copy()\nfor i in range(2000):\n    print(i)\n"
        "print('late', file=sys.stderr)"
    )
    assert shown.stdout.split() == [str(i) for i in range(2000)]
    assert shown.stderr == "late\n"
    assert np.array_equal(notebook.names["y"][::-1], notebook.names["x"])


@pytest.mark.parametrize("host", HOSTS)
def test_cell_fails_and_is_interrupted(notebook: Notebook, host: str) -> None:
    shown = notebook.run(f"%%remote {host}\nint('no number')")
    assert isinstance(shown.error, RemoteCellError)
    assert isinstance(shown.error, ValueError)
    with CtrlC(printed("on")):
        shown = notebook.run(f"%%remote {host}\nimport time\nprint('on')\ntime.sleep(60)")
    assert isinstance(shown.error, KeyboardInterrupt)


def test_default_is_the_local_engine(
    notebook: Notebook, lab_names: list[Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{engine_socket(lab_names[0])}")
    notebook.run("%unload_ext kernelext")
    notebook.run("%load_ext kernelext")
    notebook.check(f"%%remote default --image {IMAGE}\nimport numpy\nn = numpy.ones(3).sum()")
    assert notebook.names["n"] == 3


def test_hosts_says_where_names_come_from(notebook: Notebook) -> None:
    lines = {line.split()[0]: line for line in notebook.check("%remote hosts").stdout.splitlines()}
    assert "unix:///proc/" in lines["socket"]
    assert "Docker context" in lines["socket"]
    assert "your kernelext.toml" in lines["engine"]
    assert "root@host01" in lines["behind"]
    state = notebook.check("%remote hosts socket program").stdout
    assert state.count("docker  0 running, 0 queued") == 2


# the ssh program


def ssh_processes(folder: Path) -> list[str]:
    """The commands of the ssh programs whose control sockets lie in a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
            if any(word.startswith(f"{folder}/kernelext-") for word in words):
                found.append(" ".join(words))
    return found


def check_nothing_left_of_ssh(folder: Path) -> None:
    """Assert that no ssh program runs whose control socket lay in a folder, and it is gone."""
    wait_until(lambda: not ssh_processes(folder), "the ssh programs to end")
    wait_until(lambda: not list(folder.glob("kernelext-*")), "their folder to go")


@pytest.fixture
def temporary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where control sockets lie: a short path, as they need."""
    folder = tmp_path_factory.mktemp("t")
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    return folder


def test_program_is_cut_and_followed_again(
    notebook: Notebook, data_dir: Path, lab_hosts: list[Host]
) -> None:
    host, beside = lab_hosts[0], Beside(notebook, data_dir)
    notebook.check("%%remote host01\nn = 0")

    def trouble() -> None:
        beside.wait_printing()
        beside.cut(host, "link")
        beside.wait_unreachable(host)
        beside.heal(host)
        beside.wait_reachable(host)
        beside.wait_printing()

    shown = beside.run("%%remote host01\n" + COUNT.format(seconds=15), trouble)
    assert shown.error is None, shown.traceback
    check_count(beside, shown, notebook.names["n"])


def test_program_ends_with_the_notebook(temporary: Path, notebook: Notebook) -> None:
    notebook.check("%%remote program\nn = 1")
    assert len(ssh_processes(temporary)) >= 2
    notebook.run("%unload_ext kernelext")
    check_nothing_left_of_ssh(temporary)


def test_program_ends_with_a_killed_kernel(temporary: Path, notebook: Notebook) -> None:
    script = """
        import os, signal
        from pathlib import Path
        from kernelext.verbs.context import Context

        context = Context(Path.cwd())
        link = context.links.get(context.host("program"))
        link.connect()
        link._route._ssh.execute(["sleep", "60"], 5)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    assert done.returncode == -signal.SIGKILL
    check_nothing_left_of_ssh(temporary)


def test_program_says_what_ssh_says(notebook: Notebook, lab_names: list[Host]) -> None:
    config = Path(os.environ["KERNELEXT_CONFIG"])
    tables = {
        "closed": f"root@{lab_names[0].ip}:2",
        "nowhere": "root@nowhere.invalid",
        "stranger": f"nobody@{lab_names[0].ip}",
    }
    lines = (f'[hosts.{n}]\nssh = "{ssh}"\ntransport = "openssh"\n' for n, ssh in tables.items())
    config.write_text("".join(lines))
    parts = {
        "closed": "Connection refused): see what `ssh -v root@",
        "nowhere": "Could not resolve hostname nowhere.invalid",
        "stranger": "refuses the login by ssh (nobody@",
    }
    for name, part in parts.items():
        shown = fail(notebook, f"%%remote {name}\nkept = 1")
        assert isinstance(shown.error, ConnectError)
        assert part in sentence(shown)


# an engine by its context


def test_engine_is_reached_directly_where_the_socket_is_ours(
    docker_config: Path, notebook: Notebook, lab_names: list[Host], tmp_path: Path
) -> None:
    assert lab_names[0].guest.process is not None
    state = tmp_path / "state"
    state.symlink_to(f"/proc/{lab_names[0].guest.process.pid}/root{state}")
    table = f'[hosts.near]\ncontext = "socket"\nimage = "{IMAGE}"\nstate_dir = "{state}"\n'
    Path(os.environ["KERNELEXT_CONFIG"]).write_text(table)
    notebook.check("%%remote near\nn = 1")
    context = find_context("socket", os.environ)
    assert context is not None
    engine = ContextEngine("near", context)
    kinds: dict[str, type] = {str(state): LocalPipe, HostConfig.state_dir: EngineStream}
    notebook.check("%%remote socket --image " + IMAGE + "\nn = 1")
    for folder, kind in kinds.items():
        host = HostConfig("near", context="socket", state_dir=folder)
        with contextlib.closing(connect_on_engine(engine, host)) as pipe:
            assert type(pipe) is kind
    names = lab_names[0].exec("docker", "ps", "--format", "{{.Names}}").stdout.split()
    lab_names[0].exec("docker", "rm", "-f", *(n for n in names if n.count("-") == 3))
    lab_names[0].exec("rm", "-r", str(state))


@pytest.mark.parametrize(
    ("daemon_image", "kind", "part"),
    [
        ("absent:1", ImageNotFound, "broken has no image absent:1 for the daemon"),
        ("nopython:dev", EngineError, "has no python3; set daemon_image of [hosts.broken]"),
    ],
)
def test_engine_cannot_start_the_daemon(
    notebook: Notebook,
    lab_names: list[Host],
    daemon_image: str,
    kind: type[Exception],
    part: str,
) -> None:
    Path(os.environ["KERNELEXT_CONFIG"]).write_text(
        f'[hosts.broken]\ncontext = "socket"\ndaemon_image = "{daemon_image}"\n'
        'state_dir = "/srv/broken"\n'
    )
    shown = fail(notebook, "%%remote broken\nkept = 1")
    assert isinstance(shown.error, kind)
    assert part in sentence(shown)
    listed = lab_names[0].exec("docker", "ps", "-a", "--format", "{{.Names}} {{.Image}}").stdout
    assert daemon_image not in listed


def test_daemon_of_an_engine_is_killed_under_a_run(
    notebook: Notebook, lab_names: list[Host], data_dir: Path
) -> None:
    beside = Beside(notebook, data_dir)

    def trouble() -> None:
        beside.wait_printing()
        name = (
            lab_names[0]
            .exec("docker", "ps", "-q", "--filter", "label=kernelext.daemon")
            .stdout.split()
        )
        lab_names[0].exec("docker", "kill", *name)
        lab_names[0].exec("docker", "start", *name)

    shown = beside.run("%%remote engine\n" + COUNT.format(seconds=4), trouble)
    assert shown.error is None, shown.traceback
    check_count(beside, shown, notebook.names["n"])


def test_engine_by_tls_proves_who_it_is(
    docker_config: Path, notebook: Notebook, proxy: TlsProxy, tmp_path: Path
) -> None:
    folder = folder_of(docker_config, "tls", "tls") / "docker"
    other = TlsProxy("/nowhere", tmp_path / "other")
    try:
        mine = (folder / "ca.pem").read_bytes()
        (folder / "ca.pem").write_bytes(other.authority_pem)
        shown = fail(notebook, "%%remote encrypted\nkept = 1")
        assert "does not prove that it is the one meant" in sentence(shown)
        (folder / "ca.pem").write_bytes(mine)
        (folder / "cert.pem").unlink()
        shown = fail(notebook, "%%remote encrypted\nkept = 1")
        assert "it may want a certificate: give the context its cert.pem" in sentence(shown)
    finally:
        other.close()

"""Hosts that cannot be used, each with its sentence, and the many ways that one can be reached."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernelext import cli
from kernelext.errors import (
    ConnectError,
    EngineError,
    HostKeyError,
    ImageNotFound,
    UnknownHost,
)

from ..lab.host import Host
from ..lab.lab import Lab
from ..lab.sshfiles import SshFiles
from .conftest import IMAGE, check_nothing_left, wait_until
from .notebook import Notebook
from .test_failures import fail, sentence

SSHD_FILE = "/etc/ssh/sshd_config.d/00-test.conf"


class Client:
    """The user's SSH and kernelext files, apart from those of the other tests."""

    def __init__(self, home: Path, lab: Lab, config: Path) -> None:
        self.lab = lab
        self.files = SshFiles(home)
        self.files.create()
        self.files.known_hosts.write_text(lab.ssh.known_hosts.read_text())
        self._kernelext = config
        self.write_ssh("")

    def write_ssh(self, blocks: str) -> None:
        """Put blocks before the lab's own SSH configuration."""
        text = self.lab.ssh.config.read_text()
        text = text.replace(str(self.lab.ssh.known_hosts), str(self.files.known_hosts))
        self.files.config.write_text(f"{blocks}\n{text}")

    def write_hosts(self, tables: str) -> None:
        """Write the user's kernelext.toml."""
        self._kernelext.write_text(tables)

    def forget_keys(self, address: str) -> None:
        """Take a host's keys out of known_hosts."""
        known = self.files.known_hosts
        lines = known.read_text().splitlines(keepends=True)
        known.write_text("".join(line for line in lines if not line.startswith(f"{address} ")))


@pytest.fixture
def client(
    lab_names: list[Host],
    lab: Lab,
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Client:
    """SSH files of this test's own, over the lab's hosts."""
    made = Client(tmp_path / "ssh", lab, tmp_path / "config" / "kernelext.toml")
    for key, value in made.files.environment.items():
        monkeypatch.setenv(key, value)
    return made


@pytest.fixture
def notebook(client: Client, lab_notebook: Notebook) -> Notebook:
    """A notebook with this test's SSH files."""
    return lab_notebook


@pytest.fixture
def fresh(lab_names: list[Host]) -> Iterator[Host]:
    """A host on which no daemon runs, before and after."""
    host = lab_names[2]
    remove_daemons(host)
    yield host
    check_nothing_left(host)
    remove_daemons(host)


def remove_daemons(host: Host) -> None:
    """Remove the daemons' containers, as an administrator would."""
    listed = host.exec("docker", "ps", "-aq", "--filter", "label=kernelext.daemon").stdout.split()
    if listed:
        host.exec("docker", "rm", "-f", *listed)


def check_cell(notebook: Notebook, host: str) -> None:
    """Run a cell that reads, prints and binds."""
    notebook.check("x = 20")
    shown = notebook.check(f"%%remote {host} --image {IMAGE}\ny = x + 1\nprint('there')")
    assert notebook.names["y"] == 21
    assert shown.stdout == "there\n"


# hosts that are not there


def test_unknown_host(notebook: Notebook) -> None:
    shown = fail(notebook, "%%remote hots01\nkept = 1")
    assert isinstance(shown.error, UnknownHost)
    text = sentence(shown)
    assert 'No host is called "hots01": did you mean host0' in text
    assert "add `Host hots01` to ~/.ssh/config or [hosts.hots01] to kernelext.toml." in text


def test_closed_port(notebook: Notebook, fresh: Host) -> None:
    shown = fail(notebook, f"%%remote root@{fresh.ip}:2\nkept = 1")
    assert isinstance(shown.error, ConnectError)
    assert "refuses the connection: check that sshd runs there" in sentence(shown)


def test_port_that_is_no_ssh_server(notebook: Notebook, lab: Lab) -> None:
    with socket.create_server((lab.network.gateway, 0)) as server:

        def hang_up() -> None:
            with contextlib.suppress(OSError):
                while True:
                    server.accept()[0].close()

        rude = threading.Thread(target=hang_up)
        rude.start()
        port = server.getsockname()[1]
        shown = fail(notebook, f"%%remote root@{lab.network.gateway}:{port}\nkept = 1")
        server.shutdown(socket.SHUT_RDWR)
        rude.join()
    assert isinstance(shown.error, ConnectError)
    assert "answers, but not as an SSH server" in sentence(shown)


# host keys


def fingerprint(host: Host) -> str:
    """Return the SHA-256 of a host's key, as its own administrator would read it."""
    said = host.exec("ssh-keygen", "-l", "-f", "/etc/ssh/ssh_host_ed25519_key.pub").stdout
    return said.split()[1]


@pytest.fixture(params=["console", "line magic"])
def trust(
    request: pytest.FixtureRequest,
    notebook: Notebook,
    capsys: pytest.CaptureFixture[str],
) -> Trust:
    """The verb in one of its two places."""
    return Trust(request.param, notebook, capsys)


class Trust:
    """The verb ``trust``, from the console or from the notebook."""

    def __init__(self, place: str, notebook: Notebook, capsys: pytest.CaptureFixture[str]) -> None:
        self._place = place
        self._notebook = notebook
        self._capsys = capsys

    def __call__(self, *words: str) -> tuple[bool, str]:
        """Return whether it did it, and what it said."""
        if self._place == "line magic":
            shown = self._notebook.run(f"%remote trust {' '.join(words)}")
            return shown.error is None, shown.stdout + str(shown.error or "")
        done = cli.main(["trust", *words])
        said = self._capsys.readouterr()
        return done == 0, said.out + said.err


@pytest.mark.parametrize("is_known", [False, True], ids=["unknown", "changed"])
def test_host_key_is_enrolled_by_its_fingerprint(
    client: Client, notebook: Notebook, trust: Trust, fresh: Host, is_known: bool
) -> None:
    client.forget_keys(fresh.ip)
    if is_known:
        other = client.lab.host("host01").disk.host_key
        with client.files.known_hosts.open("a") as known:
            known.write(f"{fresh.ip} {other}\n")
    shown = fail(notebook, f"%%remote {fresh.name}\nkept = 1")
    assert isinstance(shown.error, HostKeyError)
    text = sentence(shown)
    assert fingerprint(fresh) in text
    assert f"`kernelext trust {fresh.name}`" in text
    assert ("has changed" if is_known else "is unknown") in text

    done, said = trust(fresh.name)
    assert not done
    assert fingerprint(fresh) in said
    assert said.strip().endswith(f"kernelext trust {fresh.name} --fingerprint SHA256:...")
    done, said = trust(fresh.name, "--fingerprint", "SHA256:" + "A" * 43)
    assert not done
    assert "nothing was enrolled" in said
    fail(notebook, f"%%remote {fresh.name}\nkept = 1")

    done, said = trust(fresh.name, "--fingerprint", fingerprint(fresh))
    assert done
    assert "it is enrolled in" in said
    check_cell(notebook, fresh.name)


# Docker on the host


@pytest.fixture
def without_docker(fresh: Host) -> Iterator[Host]:
    """A host without the program."""
    fresh.exec("mv", "/usr/bin/docker", "/usr/bin/docker.away")
    yield fresh
    fresh.exec("mv", "/usr/bin/docker.away", "/usr/bin/docker")


@pytest.fixture
def without_engine(fresh: Host) -> Iterator[Host]:
    """A host whose dockerd does not run."""
    fresh.exec("mv", "/usr/sbin/dockerd", "/usr/sbin/dockerd.away")
    fresh.exec("pkill", "-x", "dockerd")
    wait_until(lambda: fresh.exec("pgrep", "-x", "dockerd", check=False).returncode == 1, "its end")
    yield fresh
    fresh.exec("mv", "/usr/sbin/dockerd.away", "/usr/sbin/dockerd")
    fresh.wait_docker()


@pytest.fixture
def without_group(fresh: Host, lab: Lab) -> Iterator[Host]:
    """A host with a user `plain` who may not use Docker."""
    add_user(fresh, "plain", lab.ssh.public_key)
    yield fresh
    fresh.exec("userdel", "-rf", "plain")


def add_user(host: Host, name: str, public_key: str) -> None:
    """Make a user who can log in by the lab's key."""
    host.exec("useradd", "-m", "-s", "/bin/bash", "-p", "*", name)
    script = 'mkdir -m 700 ~"$0"/.ssh 2>/dev/null; echo "$1" > /home/$0/.ssh/authorized_keys;'
    script = f"mkdir -p /home/$0/.ssh; {script} chown -R $0 /home/$0/.ssh; chmod 700 /home/$0/.ssh"
    host.exec("sh", "-c", script, name, public_key.strip())


def test_no_docker(notebook: Notebook, without_docker: Host) -> None:
    shown = fail(notebook, f"%%remote {without_docker.name}\nkept = 1")
    assert isinstance(shown.error, EngineError)
    assert sentence(shown) == (
        f"{without_docker.name} has no Docker; install it there"
        " (on Debian: apt-get install docker.io)"
    )


def test_docker_does_not_run(notebook: Notebook, without_engine: Host) -> None:
    shown = fail(notebook, f"%%remote {without_engine.name}\nkept = 1")
    assert isinstance(shown.error, EngineError)
    assert sentence(shown) == (
        f"the Docker engine on {without_engine.name} does not answer; start it there"
        " (systemctl start docker)"
    )


def test_login_that_may_not_use_docker(notebook: Notebook, without_group: Host) -> None:
    shown = fail(notebook, f"%%remote plain@{without_group.ip}\nkept = 1")
    assert isinstance(shown.error, EngineError)
    assert "may not use Docker there; add its user to the group docker" in sentence(shown)
    check_cell(notebook, without_group.name)  # with root's daemon there, the answer is the same
    shown = fail(notebook, f"%%remote plain@{without_group.ip}\nkept = 1")
    assert "may not use Docker there; add its user to the group docker" in sentence(shown)


def test_daemon_image_is_absent(client: Client, notebook: Notebook, fresh: Host) -> None:
    client.write_hosts(f'[hosts.{fresh.name}]\ndaemon_image = "absent:1"\n')
    shown = fail(notebook, f"%%remote {fresh.name}\nkept = 1")
    assert isinstance(shown.error, ImageNotFound)
    assert sentence(shown) == (
        f"{fresh.name} has no image absent:1 for the daemon and cannot pull it;"
        f" load it there (docker load) or set daemon_image of [hosts.{fresh.name}]"
    )
    left = fresh.exec("docker", "ps", "-aq").stdout
    assert not left


def test_daemon_image_without_python(client: Client, notebook: Notebook, fresh: Host) -> None:
    client.write_hosts(f'[hosts.{fresh.name}]\ndaemon_image = "nopython:dev"\n')
    shown = fail(notebook, f"%%remote {fresh.name}\nkept = 1")
    assert isinstance(shown.error, EngineError)
    assert f"set daemon_image of [hosts.{fresh.name}]" in sentence(shown)
    client.write_hosts("")
    check_cell(notebook, fresh.name)


# ways to reach one


def test_login_without_root(notebook: Notebook, fresh: Host) -> None:
    check_cell(notebook, f"ubuntu@{fresh.ip}")
    check_cell(notebook, fresh.name)


def test_jump_through_another_host(client: Client, notebook: Notebook, fresh: Host) -> None:
    client.write_ssh(f"Host {fresh.name}\n  ProxyJump host02\n")
    logins = fresh.exec("cat", "/var/log/sshd.log").stdout.count(from_hop(client.lab))
    check_cell(notebook, fresh.name)
    assert fresh.exec("cat", "/var/log/sshd.log").stdout.count(from_hop(client.lab)) == logins + 1


def from_hop(lab: Lab) -> str:
    """Return what a host's log says of a login that comes through host02."""
    return f"Accepted publickey for root from {lab.host('host02').ip} "


@pytest.fixture
def without_forwarding(fresh: Host) -> Iterator[Host]:
    """A host whose sshd forwards no Unix sockets."""
    reload = 'kill -HUP "$(cat /run/sshd.pid)"'
    script = f"echo AllowStreamLocalForwarding no > {SSHD_FILE}; {reload}"
    fresh.exec("sh", "-c", script)
    fresh.wait_ssh()
    yield fresh
    fresh.exec("sh", "-c", f"rm {SSHD_FILE}; {reload}")
    fresh.wait_ssh()


def test_without_socket_forwarding(notebook: Notebook, without_forwarding: Host) -> None:
    host = without_forwarding.name
    check_cell(notebook, host)
    notebook.check("import os\nimport numpy as np\nX = np.frombuffer(os.urandom(30_000_000), 'u1')")
    notebook.check(f"%%remote {host} --image {IMAGE}\nY = X[::-1].copy()")
    there, back = notebook.names["X"].tobytes(), notebook.names["Y"][::-1].tobytes()
    assert hashlib.sha256(there).digest() == hashlib.sha256(back).digest()


def test_table_of_the_users_file(client: Client, notebook: Notebook, fresh: Host) -> None:
    client.write_hosts(f'[hosts.big]\nssh = "root@{fresh.ip}"\nimage = "{IMAGE}"\nslots = 1\n')
    notebook.check("%%remote big\nimport numpy\nn = numpy.ones(3).sum()")
    assert notebook.names["n"] == 3


def test_two_state_dirs_on_one_host(client: Client, notebook: Notebook, fresh: Host) -> None:
    other = "/srv/state of kernelext"
    client.write_hosts(
        f'[hosts.other]\nssh = "root@{fresh.ip}"\nimage = "{IMAGE}"\nstate_dir = "{other}"\n'
    )
    check_cell(notebook, fresh.name)
    check_cell(notebook, "other")
    check_cell(notebook, fresh.name)
    assert fresh.exec("ls", other).stdout.split()
    check_nothing_left(fresh)
    assert fresh.exec("ls", f"{other}/runs", f"{other}/work").stdout.count("kernelext-") == 0
    remove_daemons(fresh)
    fresh.exec("rm", "-r", other)

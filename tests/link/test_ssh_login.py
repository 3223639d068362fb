"""Logging in by SSH, and whose key is believed, against a real sshd."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from kernelext.errors import ConnectError, HostKeyError
from kernelext.link.known_hosts import enrol, find_keys
from kernelext.link.ssh import SshConnection, host_key
from tests.link.connecting import Start, no_jumps, opened
from tests.link.sshd import Sshd, public_key

# Logging in


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_open_logs_in_by_key_file(server: Sshd, keys: dict[str, Path], kind: str) -> None:
    with opened(server.target(identity_files=(keys["other"], keys[kind]))) as connection:
        assert connection.is_open()
        assert connection.execute(["true"], 5).communicate() == (0, b"", b"")
        assert connection.sent_bytes > 1000
        assert connection.received_bytes > 1000
    assert not connection.is_open()


def test_open_logs_in_by_certificate(start: Start, keys: dict[str, Path], tmp_path: Path) -> None:
    file = Path(shutil.copy(keys["rsa"], tmp_path / "id"))
    shutil.copy(f"{keys['rsa']}.pub", tmp_path / "id.pub")
    user = start().target().user
    sign = ["ssh-keygen", "-q", "-s", str(keys["other"]), "-I", "test", "-n", user, f"{file}.pub"]
    subprocess.run(sign, check=True)
    sshd = start(f"TrustedUserCAKeys {keys['other']}.pub")
    with opened(sshd.target(identity_files=(file,))) as connection:
        assert connection.is_open()


@pytest.fixture
def agent(tmp_path: Path, keys: dict[str, Path]) -> Iterator[str]:
    """The socket of an agent that holds a key which is nobody's, and the locked one."""
    path = str(tmp_path / "agent")
    process = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()  # it listens before it speaks
    unlocked = Path(shutil.copy(keys["locked"], tmp_path / "unlocked"))
    unlock = ["ssh-keygen", "-q", "-p", "-P", "secret", "-N", "", "-f", str(unlocked)]
    subprocess.run(unlock, check=True, stdout=subprocess.DEVNULL)
    add = ["ssh-add", "-q", str(keys["other"]), str(unlocked)]
    subprocess.run(add, check=True, env={**os.environ, "SSH_AUTH_SOCK": path})
    yield path
    process.terminate()
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("only", [False, True])
def test_open_logs_in_by_agent(
    server: Sshd, keys: dict[str, Path], agent: str, tmp_path: Path, only: bool
) -> None:
    named = Path(shutil.copy(keys["locked"], tmp_path / "no_pub_beside_it"))
    target = server.target(identity_agent=agent, identities_only=only, identity_files=(named,))
    with opened(target) as connection:
        assert connection.is_open()


def test_open_keeps_the_agent_out_when_told(
    server: Sshd, keys: dict[str, Path], agent: str
) -> None:
    files = (keys["other"],)
    target = server.target(identity_agent=agent, identities_only=True, identity_files=files)
    with pytest.raises(ConnectError) as caught, opened(target):
        pass
    assert "agent" not in str(caught.value)


def test_open_asks_the_environment_s_agent(
    server: Sshd, agent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", agent)
    with opened(server.target(identity_agent=None, identity_files=())) as connection:
        assert connection.is_open()


def test_open_refused_says_what_was_offered(
    server: Sshd, keys: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "odd").write_text("no key\n")
    files = (keys["other"], keys["locked"], tmp_path / "odd", tmp_path / "absent")
    target = server.target(identity_files=files, identity_agent=str(tmp_path / "no_agent"))
    with pytest.raises(ConnectError) as caught, opened(target):
        pass
    text = str(caught.value)
    assert text.startswith(f"aws01 refuses the login as {target.user}@127.0.0.1; offered: ssh-ed2")
    assert f"ssh-ed25519 from {keys['other']};" in text
    assert f"{keys['locked']} (it has a passphrase: run `ssh-add {keys['locked']}`)" in text
    assert "odd (paramiko cannot read it: run `ssh-add" in text
    assert "no_agent (" in text
    assert "absent" not in text
    assert "name the right one by IdentityFile in ~/.ssh/config; where `ssh` itself" in text
    assert text.endswith('set transport = "openssh" under [hosts.aws01].')


def test_open_says_when_keys_will_not_do(start: Start) -> None:
    sshd = start("PubkeyAuthentication no", "KbdInteractiveAuthentication yes", "UsePAM yes")
    with pytest.raises(ConnectError, match="It asks for keyboard-interactive; kernelext"):
        SshConnection.open("aws01", sshd.target(), resolve=no_jumps)


def test_open_says_when_a_second_factor_is_needed(start: Start) -> None:
    sshd = start(
        "AuthenticationMethods publickey,keyboard-interactive",
        "KbdInteractiveAuthentication yes",
        "UsePAM yes",
    )
    with pytest.raises(ConnectError, match="It asks for keyboard-interactive; kernelext"):
        SshConnection.open("aws01", sshd.target(), resolve=no_jumps)


def test_open_says_when_it_tried_too_often(start: Start, keys: dict[str, Path]) -> None:
    target = start("MaxAuthTries 2").target(
        identity_files=(keys["other"], keys["rsa"], keys["ed25519"])
    )
    with pytest.raises(ConnectError, match="It hung up: name the right key by IdentityFile"):
        SshConnection.open("aws01", target, resolve=no_jumps)


# Host keys


def test_open_refuses_an_unknown_key(server: Sshd, keys: dict[str, Path], tmp_path: Path) -> None:
    shown = host_key("aws01", server.target(), resolve=no_jumps)
    target = server.target(known_hosts_files=(tmp_path / "absent",))
    with pytest.raises(HostKeyError) as caught, opened(target):
        pass
    assert shown.fingerprint_sha256 in str(caught.value)
    assert str(caught.value).endswith("run `kernelext trust aws01`.")
    assert not (tmp_path / "absent").exists()


def test_open_refuses_a_changed_key(server: Sshd, keys: dict[str, Path], tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    enrol(file, server.name, *public_key(keys["other"]))
    (known,) = find_keys([file], [server.name])
    shown = host_key("aws01", server.target(), resolve=no_jumps)
    with pytest.raises(HostKeyError, match="has changed") as caught:
        SshConnection.open("aws01", server.target(known_hosts_files=(file,)), resolve=no_jumps)
    for part in (known.fingerprint, shown.fingerprint_sha256, f"line 1 of {file}"):
        assert part in str(caught.value)


def test_open_refuses_a_revoked_key(server: Sshd, keys: dict[str, Path], tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    line = f"{server.name} {' '.join(public_key(keys['host']))}\n"
    file.write_text(line + "@revoked " + line)
    with pytest.raises(HostKeyError, match=r"is revoked by line 2"):
        SshConnection.open("aws01", server.target(known_hosts_files=(file,)), resolve=no_jumps)


def test_open_says_that_authorities_are_not_read(
    server: Sshd, keys: dict[str, Path], tmp_path: Path
) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"@cert-authority * {' '.join(public_key(keys['other']))}\n")
    with pytest.raises(HostKeyError, match="kernelext reads no certificate authorities"):
        SshConnection.open("aws01", server.target(known_hosts_files=(file,)), resolve=no_jumps)


@pytest.mark.parametrize("kind", ["host", "host_rsa"])
def test_open_asks_for_the_key_that_is_known(
    server: Sshd, keys: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "known_hosts"
    enrol(file, server.name, *public_key(keys[kind]))
    hashing = ["ssh-keygen", "-q", "-H", "-f", str(file)]
    subprocess.run(hashing, check=True, capture_output=True)
    with opened(server.target(known_hosts_files=(file,))) as connection:
        assert connection.is_open()


@pytest.mark.parametrize(
    ("filed_as", "alias", "good"),
    [("127.0.0.1", None, True), ("aws01", "aws01", True), ("127.0.0.1", "aws01", False)],
)
def test_open_looks_keys_up_as_openssh(
    server: Sshd, keys: dict[str, Path], tmp_path: Path, filed_as: str, alias: Any, good: bool
) -> None:
    file = tmp_path / "known_hosts"
    enrol(file, filed_as, *public_key(keys["host"]))
    target = server.target(known_hosts_files=(file,), host_key_alias=alias)
    refused = contextlib.nullcontext() if good else pytest.raises(HostKeyError, match="unknown")
    with refused, opened(target) as connection:
        assert connection.is_open()


def test_host_key_needs_no_login(server: Sshd, keys: dict[str, Path]) -> None:
    target = server.target(known_hosts_files=(), identity_files=())
    shown = host_key("aws01", target, resolve=no_jumps)
    assert (shown.type, shown.base64) == public_key(keys["host"])
    said = subprocess.run(
        ["ssh-keygen", "-lf", str(keys["host"])], capture_output=True, text=True, check=True
    ).stdout
    assert shown.fingerprint_sha256 == said.split()[1]


# Nobody there


def test_open_says_that_a_port_is_closed(server: Sshd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ConnectError, match=rf"aws01 \(127.0.0.1:{port}\) refuses the connection"):
        SshConnection.open("aws01", server.target(port=port), resolve=no_jumps)


def test_open_says_that_a_name_is_unknown(server: Sshd) -> None:
    target = server.target(hostname="aws01.invalid")
    with pytest.raises(ConnectError, match=r"No address is known for aws01\.invalid"):
        SshConnection.open("aws01", target, resolve=no_jumps)


def test_open_gives_up_on_silence(server: Sshd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = server.target(port=silent.getsockname()[1])
        with pytest.raises(ConnectError, match="answers, but not as an SSH server"):
            SshConnection.open("aws01", target, resolve=no_jumps, timeout_s=0.3)


def test_open_says_that_it_is_no_ssh_server(server: Sshd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer() -> None:
            with other.accept()[0] as sock:
                sock.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        target = server.target(port=other.getsockname()[1])
        with pytest.raises(ConnectError, match=r"see what `ssh -v aws01` says"):
            SshConnection.open("aws01", target, resolve=no_jumps)
        thread.join()


def test_many_who_come_at_once_all_get_in(start: Start) -> None:
    target = start("MaxStartups 2:100:2").target()  # two at a time may be about to log in
    meet = threading.Barrier(5)

    def log_in(_: int) -> bool:
        meet.wait()
        with contextlib.closing(
            SshConnection.open("aws01", target, resolve=no_jumps)
        ) as connection:
            return connection.is_open()

    with ThreadPoolExecutor(meet.parties) as pool:
        assert all(pool.map(log_in, range(meet.parties)))


def test_open_refuses_a_proxy_command(server: Sshd) -> None:
    sentence = r'set transport = "openssh" under \[hosts.aws01\], or use ProxyJump'
    with pytest.raises(ConnectError, match=sentence):
        SshConnection.open("aws01", server.target(proxy_command="nc x 22"), resolve=no_jumps)

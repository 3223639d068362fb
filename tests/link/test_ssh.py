"""SSH connections, against a real sshd on the loopback."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kernelext.errors import ConnectError, HostKeyError, LinkError, LinkLost
from kernelext.hosts.sshconfig import SshTarget
from kernelext.link.known_hosts import enrol, find_keys
from kernelext.link.pipe import ForwardingForbidden, SocketAbsent
from kernelext.link.ssh import SshConnection, host_key
from kernelext.link.tcp import Wire
from tests.link.sshd import Sshd, make_key, public_key

Start = Callable[..., Sshd]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("keys")
    kinds = {"host": "ed25519", "host_rsa": "rsa", "other": "ed25519", "ed25519": "ed25519"}
    kinds |= {"ecdsa": "ecdsa", "rsa": "rsa"}
    made = {name: make_key(folder / name, kind) for name, kind in kinds.items()}
    return {**made, "locked": make_key(folder / "locked", passphrase="secret")}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, keys: dict[str, Path]) -> Iterator[Sshd]:
    """An sshd that many tests share: they change nothing in it."""
    clients = [keys["ed25519"], keys["rsa"], keys["ecdsa"], keys["locked"]]
    sshd = Sshd(tmp_path_factory.mktemp("sshd"), [keys["host"], keys["host_rsa"]], clients)
    with contextlib.closing(sshd):
        yield sshd


@pytest.fixture
def start(tmp_path: Path, keys: dict[str, Path]) -> Iterator[Start]:
    """Starts further ones, with settings of their own."""
    with contextlib.ExitStack() as stack:

        def start(*settings: str, host: str = "host") -> Sshd:
            folder = tmp_path / f"sshd{len(list(tmp_path.iterdir()))}"
            sshd = Sshd(folder, [keys[host]], [keys["ed25519"]], *settings)
            return stack.enter_context(contextlib.closing(sshd))

        yield start


@pytest.fixture(autouse=True)
def _no_thread_stays() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(2)
    assert set(threading.enumerate()) <= before


def no_jumps(name: str) -> SshTarget:
    raise AssertionError(f"nothing leads through {name}")


def opened(target: SshTarget, host: str = "aws01", **options: Any) -> Any:
    return contextlib.closing(SshConnection.open(host, target, resolve=no_jumps, **options))


@pytest.fixture
def connection(server: Sshd) -> Iterator[SshConnection]:
    with opened(server.target()) as connection:
        yield connection


class Echo:
    """A Unix socket that sends back what it gets."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._sockets = [socket.socket(socket.AF_UNIX)]
        self._sockets[0].bind(self.path)
        self._sockets[0].listen()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._sockets.append(self._sockets[0].accept()[0])
                thread = threading.Thread(target=self._serve, args=(self._sockets[-1],))
                self._threads.append(thread)
                thread.start()

    def _serve(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            while data := sock.recv(1 << 20):
                sock.sendall(data)

    def close(self) -> None:
        """Hang up."""
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._sockets[0].close()


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[Echo]:
    with contextlib.closing(Echo(tmp_path / "echo")) as echo:
        yield echo


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
    assert text.endswith("name the right one by IdentityFile in ~/.ssh/config.")


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


def test_open_refuses_a_proxy_command(server: Sshd) -> None:
    with pytest.raises(ConnectError, match="use ProxyJump"):
        SshConnection.open("aws01", server.target(proxy_command="nc x 22"), resolve=no_jumps)


# Sockets


def test_open_socket_echoes(connection: SshConnection, echo: Echo) -> None:
    pipe = connection.open_socket(echo.path, 5)
    pipe.settimeout(5)
    pipe.sendall(b"hello")
    assert pipe.recv(2) == b"he"
    assert pipe.recv(100) == b"llo"
    pipe.close()
    assert pipe.recv(1) == b""
    with pytest.raises(LinkLost):
        pipe.sendall(b"more")


def test_open_socket_carries_much_both_ways(connection: SshConnection, echo: Echo) -> None:
    data = os.urandom(40_000_003)
    pipe = connection.open_socket(echo.path, 5)
    pipe.settimeout(20)
    sender = threading.Thread(target=pipe.sendall, args=(memoryview(data),))
    sender.start()
    digest = hashlib.sha256()
    size = 0
    while size < len(data):
        piece = pipe.recv(300_000)
        size += len(piece)
        digest.update(piece)
    sender.join()
    pipe.close()
    assert digest.digest() == hashlib.sha256(data).digest()
    assert len(data) < connection.sent_bytes < 1.05 * len(data)


def test_open_socket_counts_against_no_limit(connection: SshConnection, echo: Echo) -> None:
    pipes = [connection.open_socket(echo.path, 5) for _ in range(30)]
    for number, pipe in enumerate(pipes):
        pipe.sendall(bytes([number]))
    assert [pipe.recv(1)[0] for pipe in pipes] == list(range(30))
    for pipe in pipes:
        pipe.close()


def test_open_socket_from_many_threads(
    connection: SshConnection, echo: Echo, tmp_path: Path
) -> None:
    results: list[bool] = []

    def use(number: int) -> None:
        for _ in range(10):
            if number % 2:
                with contextlib.closing(connection.open_socket(echo.path, 5)) as pipe:
                    pipe.settimeout(5)
                    pipe.sendall(b"x")
                    results.append(pipe.recv(1) == b"x")
            else:
                with pytest.raises(SocketAbsent):
                    connection.open_socket(str(tmp_path / "absent"), 5)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 40


def test_open_socket_that_nobody_made(connection: SshConnection, tmp_path: Path) -> None:
    with pytest.raises(SocketAbsent, match=r"Nobody listens at .*absent on aws01"):
        connection.open_socket(str(tmp_path / "absent"), 5)


def test_open_socket_that_its_owner_left(connection: SshConnection, tmp_path: Path) -> None:
    Echo(tmp_path / "stale").close()
    with pytest.raises(SocketAbsent):
        connection.open_socket(str(tmp_path / "stale"), 5)


@pytest.mark.parametrize("setting", ["AllowStreamLocalForwarding no", "DisableForwarding yes"])
def test_open_socket_that_is_forbidden(start: Start, echo: Echo, setting: str) -> None:
    with opened(start(setting).target()) as connection:
        for _ in range(2):
            with pytest.raises(ForwardingForbidden, match="AllowStreamLocalForwarding"):
                connection.open_socket(echo.path, 5)


def test_open_socket_where_agents_are_forbidden(start: Start, echo: Echo, tmp_path: Path) -> None:
    with opened(start("AllowAgentForwarding no").target()) as connection:
        with pytest.raises(SocketAbsent):
            connection.open_socket(str(tmp_path / "absent"), 5)
        connection.open_socket(echo.path, 5).close()


def test_recv_sees_the_end(connection: SshConnection, tmp_path: Path) -> None:
    path = str(tmp_path / "one")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        pipe = connection.open_socket(path, 5)
        with listener.accept()[0] as peer:
            peer.sendall(b"bye")
        assert (pipe.recv(10), pipe.recv(10), pipe.recv(10)) == (b"bye", b"", b"")
        assert connection.is_open()


def test_recv_times_out(connection: SshConnection, echo: Echo) -> None:
    pipe = connection.open_socket(echo.path, 5)
    pipe.settimeout(0.05)
    with pytest.raises(TimeoutError):
        pipe.recv(1)
    pipe.sendall(b"x")
    pipe.settimeout(5)
    assert pipe.recv(1) == b"x"


def test_sendall_times_out_on_a_full_window(connection: SshConnection, tmp_path: Path) -> None:
    path = str(tmp_path / "deaf")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        pipe = connection.open_socket(path, 5)
        pipe.settimeout(0.2)
        with pytest.raises(TimeoutError):
            pipe.sendall(bytes(20_000_000))
        assert connection.is_open()


def test_close_wakes_a_reader(connection: SshConnection, echo: Echo) -> None:
    pipe = connection.open_socket(echo.path, 5)
    got: list[bytes] = []
    thread = threading.Thread(target=lambda: got.append(pipe.recv(1)))
    thread.start()
    pipe.close()
    thread.join(5)
    assert got == [b""]


# Commands


def test_execute_gives_status_output_and_errors(connection: SshConnection) -> None:
    script = 'read line; echo "got $line $1"; echo bad >&2; exit 7'
    process = connection.execute(["sh", "-c", script, "sh", "it's; $(here)"], 5)
    assert process.communicate(b"this\n") == (7, b"got this it's; $(here)\n", b"bad\n")


def test_execute_of_nothing_known(connection: SshConnection) -> None:
    status, _, errors = connection.execute(["no-such-program"], 5).communicate()
    assert status == 127
    assert b"no-such-program" in errors


def test_execute_carries_much(connection: SshConnection) -> None:
    data = os.urandom(5_000_000)
    process = connection.execute(["cat"], 10)
    process.settimeout(10)
    sender = threading.Thread(target=lambda: (process.sendall(data), process.send_end()))
    sender.start()
    assert b"".join(iter(lambda: process.recv(1 << 20), b"")) == data
    sender.join()
    assert process.exit_status(5) == 0
    process.close()


def test_execute_that_takes_too_long(connection: SshConnection) -> None:
    process = connection.execute(["sleep", "60"], 5)
    process.settimeout(0.05)
    with pytest.raises(TimeoutError):
        process.recv(1)
    with pytest.raises(TimeoutError, match="has not ended"):
        process.exit_status(0.05)
    process.close()


def test_execute_without_a_session_left(start: Start) -> None:
    with opened(start("MaxSessions 1").target()) as connection:
        connection._hurry()  # as on a connection to far away
        first = connection.execute(["cat"], 5)
        with pytest.raises(LinkError, match="raise MaxSessions"):
            connection.execute(["true"], 5)
        assert first.communicate(b"x") == (0, b"x", b"")


# Through other hosts


def test_open_goes_through_two_hosts(start: Start, server: Sshd, echo: Echo) -> None:
    jumps = {"gate": start().target(), "inner": start().target(proxy_jump=("overridden",))}
    target = server.target(proxy_jump=("gate", "inner"))
    connection = SshConnection.open("aws01", target, resolve=jumps.__getitem__)
    with contextlib.closing(connection):
        pipe = connection.open_socket(echo.path, 5)
        pipe.settimeout(5)
        pipe.sendall(b"far")
        assert pipe.recv(10) == b"far"
        assert connection.sent_bytes > 3000
    shown = host_key("aws01", target, resolve=jumps.__getitem__)
    assert shown.type == "ssh-ed25519"


def test_open_checks_the_keys_on_the_way(start: Start, server: Sshd, tmp_path: Path) -> None:
    jump = start().target(known_hosts_files=(tmp_path / "absent",))
    target = server.target(proxy_jump=("gate",))
    for ask in (SshConnection.open, host_key):
        with pytest.raises(HostKeyError, match="run `kernelext trust gate`"):
            ask("aws01", target, resolve=lambda _: jump)


def test_open_says_that_a_jump_is_forbidden(start: Start, server: Sshd) -> None:
    jump = start("AllowTcpForwarding no").target()
    with pytest.raises(ConnectError, match="gate forbids going on to aws01"):
        SshConnection.open("aws01", server.target(proxy_jump=("gate",)), resolve=lambda _: jump)


def test_open_says_that_a_jump_does_not_reach(start: Start, server: Sshd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    target = server.target(proxy_jump=("gate",), port=port)
    with pytest.raises(ConnectError, match="gate does not reach aws01"):
        SshConnection.open("aws01", target, resolve=lambda _: start().target())


def test_open_sees_jumps_that_lead_back(server: Sshd) -> None:
    jumps = {"gate": server.target(proxy_jump=("aws01",)), "aws01": server.target()}
    with pytest.raises(ConnectError, match="leads from aws01 back"):
        SshConnection.open("aws01", server.target(proxy_jump=("gate",)), resolve=jumps.__getitem__)


# Endings


def test_a_killed_server_is_a_lost_link(start: Start, echo: Echo) -> None:
    sshd = start()
    with opened(sshd.target()) as connection:
        pipe = connection.open_socket(echo.path, 5)
        process = connection.execute(["cat"], 5)
        caught: list[BaseException] = []

        def wait() -> None:
            try:
                pipe.recv(1)
            except LinkLost as exc:
                caught.append(exc)

        reader = threading.Thread(target=wait)
        reader.start()
        sshd.signal(signal.SIGKILL)
        reader.join(5)
        assert [str(exc) for exc in caught] == [
            f"The connection to aws01 ({connection.address}) broke."
        ]
        for use in (
            lambda: pipe.recv(1),
            lambda: pipe.sendall(b"x"),
            lambda: process.recv(1),
            lambda: process.exit_status(1),
            lambda: connection.open_socket(echo.path, 1),
            lambda: connection.execute(["true"], 1),
        ):
            with pytest.raises(LinkLost):
                use()
        assert not connection.is_open()


@pytest.mark.parametrize("through", [False, True])
def test_close_does_not_wait_for_a_silent_server(
    start: Start, server: Sshd, echo: Echo, through: bool
) -> None:
    sshd = start()
    target, jumps = sshd.target(), {"gate": sshd.target()}
    if through:
        target = server.target(proxy_jump=("gate",))
    connection = SshConnection.open("aws01", target, resolve=jumps.__getitem__)
    pipe = connection.open_socket(echo.path, 5)
    sshd.signal(signal.SIGSTOP)
    caught: list[BaseException] = []

    def send() -> None:
        try:
            while True:
                pipe.sendall(bytes(1 << 20))
        except LinkLost as exc:
            caught.append(exc)

    sender = threading.Thread(target=send)
    sender.start()
    sent_bytes = -1
    while sent_bytes != connection.sent_bytes:  # until the sender is stuck
        sent_bytes = connection.sent_bytes
        sender.join(0.2)
    started = time.monotonic()
    connection.close()
    assert time.monotonic() - started < 1
    sender.join(2)
    assert len(caught) == 1
    with pytest.raises(LinkLost):
        pipe.recv(1)


def test_wire_ends_when_nothing_can_be_sent() -> None:
    near, far = socket.socketpair()
    with far, contextlib.closing(Wire(near, 0.0, stall_s=0.1)) as wire:
        wire.settimeout(0.01)

        def send() -> None:
            while True:
                with contextlib.suppress(TimeoutError):
                    wire.send(bytes(1 << 20))

        with pytest.raises(ConnectionError):
            send()
        size = 0
        while data := far.recv(1 << 20):
            size += len(data)
        assert size == wire.sent_bytes


def test_close_twice_is_close(server: Sshd) -> None:
    with opened(server.target()) as connection:
        connection.close()
        assert not connection.is_open()


def test_nothing_is_printed(
    server: Sshd, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with opened(server.target()) as connection, contextlib.suppress(SocketAbsent):
        connection.open_socket(str(tmp_path / "absent"), 5)
    target = dataclasses.replace(server.target(), identity_files=())
    with pytest.raises(ConnectError), opened(target):
        pass
    assert capfd.readouterr() == ("", "")

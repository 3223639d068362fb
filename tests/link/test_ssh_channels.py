"""Sockets and commands over one SSH connection, against a real sshd."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import threading
from pathlib import Path

import pytest

from kernelext.errors import LinkError, LinkLost
from kernelext.link.pipe import ForwardingForbidden, SocketAbsent
from kernelext.link.ssh import SshConnection
from tests.link.connecting import Echo, Start, opened

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

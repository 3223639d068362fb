"""SSH through other hosts, and how connections end, against real sshds."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from kernelext.errors import ConnectError, HostKeyError, LinkLost
from kernelext.link.pipe import SocketAbsent
from kernelext.link.ssh import SshConnection, host_key
from kernelext.link.tcp import Wire
from tests.link.connecting import Echo, Start, opened
from tests.link.sshd import Sshd

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

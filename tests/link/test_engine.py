"""Engines that cannot be reached by their context, each with its sentence."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernelext.errors import ConnectError, EngineError, OptionError
from kernelext.hosts import DockerContext
from kernelext.link.engine import ContextEngine


def ask(context: DockerContext) -> None:
    ContextEngine("lab", context).call("GET", "/info")


def test_socket_is_absent(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"it has no socket .*none: install or start it"):
        ask(DockerContext("c", f"unix://{tmp_path}/none"))


def test_nobody_listens_at_the_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "engine.sock")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path)
    with pytest.raises(EngineError, match=r"does not answer at .*engine.sock \(Connection refused"):
        ask(DockerContext("c", f"unix://{path}"))


@pytest.fixture
def plain_user() -> Iterator[None]:
    """Whoever may not use root's sockets."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


@pytest.fixture
def closed_socket(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "engine.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        path.chmod(0)
        yield path


def test_socket_may_not_be_used(closed_socket: Path, plain_user: None) -> None:
    with pytest.raises(EngineError, match="add your user to the group docker and log in anew"):
        ask(DockerContext("c", f"unix://{closed_socket}"))


def test_port_is_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ConnectError, match=rf"at tcp://127.0.0.1:{port} \(Connection refused\)"):
        ask(DockerContext("c", f"tcp://127.0.0.1:{port}"))


def test_name_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(ConnectError, match=r"No address is known for gpu\.invalid"):
        ask(DockerContext("c", "tcp://gpu.invalid:2376", tmp_path))


@pytest.mark.parametrize("uses_tls", [False, True])
def test_it_is_no_engine(tmp_path: Path, uses_tls: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with server.accept()[0] as sock:
                sock.recv(1 << 16)
                sock.sendall(b"SSH-2.0-OpenSSH\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        endpoint = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(ConnectError, match=r"not by TLS|breaks off \(SSH-2"):
            ask(DockerContext("c", endpoint, tmp_path if uses_tls else None))
        thread.join()


def test_certificate_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate\n")
    with pytest.raises(EngineError, match=r"cannot be read .*: make the context anew"):
        ask(DockerContext("c", "tcp://127.0.0.1:1", tmp_path))


@pytest.mark.parametrize(
    ("context", "part"),
    [
        (DockerContext("c", "npipe:////./pipe/docker_engine"), "by unix://, tcp:// and ssh://"),
        (DockerContext("c", "unix://"), "by unix://, tcp:// and ssh://"),
        (DockerContext("c", "tcp://10.0.0.1:port"), "has no endpoint that could be"),
        (DockerContext("c", "tcp://10.0.0.1:2375"), "would send everything unencrypted"),
        (DockerContext("c", "tcp://10.0.0.1", Path("/certs"), False), "certificate unverified"),
    ],
)
def test_endpoint_is_refused(context: DockerContext, part: str) -> None:
    with pytest.raises(OptionError, match=part):
        ask(context)

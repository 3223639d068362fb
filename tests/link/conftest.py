"""Real sshds on the loopback, and connections to them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernelext.link.ssh import SshConnection
from tests.link.connecting import Echo, Start, opened
from tests.link.sshd import Sshd, make_key


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


@pytest.fixture
def connection(server: Sshd) -> Iterator[SshConnection]:
    with opened(server.target()) as connection:
        yield connection


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[Echo]:
    with contextlib.closing(Echo(tmp_path / "echo")) as echo:
        yield echo

"""Opens connections to a test's sshd, and echoes at a socket behind it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kernelext.hosts.sshconfig import SshTarget
from kernelext.link.ssh import SshConnection
from tests.link.sshd import Sshd

Start = Callable[..., Sshd]


def no_jumps(name: str) -> SshTarget:
    raise AssertionError(f"nothing leads through {name}")


def opened(target: SshTarget, host: str = "aws01", **options: Any) -> Any:
    return contextlib.closing(SshConnection.open(host, target, resolve=no_jumps, **options))


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

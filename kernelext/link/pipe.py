"""What a connection to a daemon is made of: a two-way pipe of bytes, wherever it leads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from kernelext.errors import LinkError


class Pipe(Protocol):
    """What a socket and an SSH channel both offer.

    Silence beyond the timeout raises `TimeoutError`; a broken connection raises `LinkLost`
    (a plain socket: another `OSError`). One thread may send while another receives.
    """

    def sendall(self, data: bytes | bytearray | memoryview, /) -> None:
        """Send all of `data`."""

    def recv(self, size: int, /) -> bytes:
        """Wait for bytes and return at most `size` of them; none at the end."""

    def settimeout(self, seconds: float | None, /) -> None:
        """Bound every later wait; None waits for ever."""

    def close(self) -> None:
        """End both directions."""


class Process(Pipe, Protocol):
    """A command on a host: a pipe to its standard input and output, and the rest of it."""

    def communicate(self, data: bytes = b"", timeout_s: float = 30.0) -> tuple[int, bytes, bytes]:
        """Send `data`, close its input and wait for its end: status, output, errors."""


class Shell(Protocol):
    """A connection to a host that offers its sockets and its commands."""

    def open_socket(self, path: str, timeout_s: float) -> Pipe:
        """Connect to a Unix socket of the host, or raise why not."""

    def execute(self, argv: Sequence[str], timeout_s: float) -> Process:
        """Start a command on the host."""

    def is_open(self) -> bool:
        """Whether nothing has ended it, as far as is known here."""

    def close(self) -> None:
        """End it; never waits for the far side."""

    @property
    def received_bytes(self) -> int:
        """What has come so far."""


class SocketAbsent(LinkError):
    """Nobody listens on the host at the path asked for."""


class ForwardingForbidden(LinkError):
    """The host's administrator forbids the forwarding of sockets."""

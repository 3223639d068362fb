"""What a connection to a daemon is made of: a two-way pipe of bytes, wherever it leads."""

from __future__ import annotations

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


class SocketAbsent(LinkError):
    """Nobody listens on the host at the path asked for."""


class ForwardingForbidden(LinkError):
    """The host's administrator forbids the forwarding of sockets."""

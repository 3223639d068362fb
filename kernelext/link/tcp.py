"""The TCP end of an SSH connection: connecting, counting bytes; speaks no protocol."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import Any

from kernelext.errors import ConnectError

READ_AHEAD_BYTES = 128 * 1024
UNSENT_BYTES = 128 * 1024
STALL_S = 15.0
FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}


class Wire:
    """A connected socket, or a channel through another host, as paramiko wants it.

    Parameters
    ----------
    sock : socket or paramiko.Channel
    opening_s : float
        How long it took to open: a round trip at least.
    stall_s : float
        It ends when nothing could be sent for so long: who sends holds up everybody else, and
        paramiko bounds neither wait.

    Attributes
    ----------
    sent_bytes, received_bytes : int
    """

    def __init__(self, sock: Any, opening_s: float, *, stall_s: float = STALL_S) -> None:
        self.opening_s = opening_s
        self._stall_s = stall_s
        self._stalled_at: float | None = None
        self._sock = sock
        self._is_tcp = isinstance(sock, socket.socket)
        self._ahead = b""
        self._position = 0
        self.sent_bytes = 0
        self.received_bytes = 0
        self._closed = False  # paramiko asks for it under this name

    def send(self, data: bytes) -> int:
        """Send some of `data` and return how much."""
        try:
            sent = int(self._sock.send(data))
        except TimeoutError as exc:
            now = time.monotonic()
            if self._stalled_at is None:
                self._stalled_at = now
            elif now - self._stalled_at > self._stall_s:
                self.close()
                raise ConnectionError(f"nothing could be sent for {self._stall_s:g} s") from exc
            raise
        self._stalled_at = None
        self.sent_bytes += sent
        return sent

    def recv(self, size: int) -> bytes:
        """Return at most `size` bytes, read ahead: paramiko asks for 16, then for the rest."""
        if self._position == len(self._ahead):
            found = self._sock.recv(READ_AHEAD_BYTES)
            if not found:
                return b""
            self._ahead, self._position = found, 0
            self.received_bytes += len(found)
            if self._is_tcp and hasattr(socket, "TCP_QUICKACK"):
                # Linux forgets it. A late acknowledgement holds up what sshd sends next.
                self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        piece = self._ahead[self._position : self._position + size]
        self._position += len(piece)
        return piece

    def heard_only(self, text: bytes) -> bool:
        """Whether nothing has come yet, or just this."""
        return not self.received_bytes or (self.received_bytes, self._ahead) == (len(text), text)

    def settimeout(self, seconds: float | None) -> None:
        """Bound every later wait."""
        self._sock.settimeout(seconds)

    def close(self) -> None:
        """End it at once; whoever waits in it is woken."""
        self._closed = True
        with contextlib.suppress(OSError, EOFError):
            if self._is_tcp:
                self._sock.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError, EOFError):
            self._sock.close()


def connect(
    host: str, hostname: str, port: int, timeout_s: float, family: str = "any"
) -> socket.socket:
    """Connect to an SSH server's port.

    Parameters
    ----------
    host : str
        The name the user typed, for messages.
    hostname : str
    port : int
    timeout_s : float
        For each of its addresses.

    Raises
    ------
    ConnectError
    """
    where = f"{host} ({hostname}:{port})"
    try:
        sock = _dial(hostname, port, timeout_s, FAMILIES.get(family, socket.AF_UNSPEC))
    except socket.gaierror as exc:
        raise ConnectError(
            f"No address is known for {hostname}: check how {host} is spelt, or give it a "
            "HostName in ~/.ssh/config."
        ) from exc
    except ConnectionRefusedError as exc:
        raise ConnectError(
            f"{where} refuses the connection: check that sshd runs there and listens at this port."
        ) from exc
    except TimeoutError as exc:
        raise ConnectError(
            f"{where} has not answered within {timeout_s:g} s: check that it is up and that no "
            "firewall is in the way."
        ) from exc
    except OSError as exc:
        raise ConnectError(
            f"There is no way to {where} ({exc.strerror or exc}): check the network."
        ) from exc
    _send_at_once(sock)
    return sock


def _dial(
    hostname: str, port: int, timeout_s: float, family: socket.AddressFamily
) -> socket.socket:
    """Try one address after the other; the first error counts."""
    if family == socket.AF_UNSPEC:
        return socket.create_connection((hostname, port), timeout=timeout_s)
    failure: OSError | None = None
    for kind, _, _, _, address in socket.getaddrinfo(hostname, port, family, socket.SOCK_STREAM):
        sock = socket.socket(kind, socket.SOCK_STREAM)
        sock.settimeout(timeout_s)
        try:
            sock.connect(address)
        except OSError as exc:
            sock.close()
            failure = failure or exc
        else:
            return sock
    raise failure or OSError("it has no address")


def _send_at_once(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        # What the kernel holds of an upload goes before an interrupt that comes later.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)

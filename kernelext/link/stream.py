"""A container's standard streams over a connection that was a call of Docker's API."""

from __future__ import annotations

import contextlib
import functools
import http.client
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

READ_AHEAD_BYTES = 1024 * 1024
ERRORS_LIMIT_BYTES = 64 * 1024
_HEAD_BYTES = 8
_STDERR = 2


class EngineStream:
    """The streams as a `Pipe`; what comes on standard error is kept apart.

    Parameters
    ----------
    connection : HTTPConnection
    response : HTTPResponse
        The engine's agreement that HTTP ends here.

    Attributes
    ----------
    errors : bytes
        The beginning of standard error, as far as it has been passed by.
    received_bytes : int
    """

    def __init__(
        self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse
    ) -> None:
        sock = connection.sock
        self._response = response
        self._ahead = _buffered(sock, response)
        self._sock: Any = SharedTls(sock) if isinstance(sock, ssl.SSLSocket) else sock
        self._position = 0
        self._left = 0
        self._is_error = False
        self.errors = b""
        self.received_bytes = len(self._ahead)

    def sendall(self, data: bytes | bytearray | memoryview, /) -> None:
        """Send all of `data` to standard input."""
        self._sock.sendall(data)

    def recv(self, size: int, /) -> bytes:
        """Wait for standard output and return at most `size` bytes of it; none at the end."""
        while True:
            while not self._left:
                head = self._exactly(_HEAD_BYTES)
                if len(head) < _HEAD_BYTES:
                    return b""
                self._is_error = head[0] == _STDERR
                self._left = int.from_bytes(head[4:], "big")
            data = self._some(min(size, self._left))
            self._left -= len(data)
            if not self._is_error or not data:
                return data
            self.errors = (self.errors + data)[:ERRORS_LIMIT_BYTES]

    def settimeout(self, seconds: float | None, /) -> None:
        """Bound every later wait; None waits for ever."""
        self._sock.settimeout(seconds)

    def close(self) -> None:
        """End both directions; whoever waits in it is woken."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        self._response.close()

    def _exactly(self, size: int) -> bytes:
        found = b""
        while len(found) < size and (piece := self._some(size - len(found))):
            found += piece
        return found

    def _some(self, size: int) -> bytes:
        if self._position == len(self._ahead):
            self._ahead, self._position = self._sock.recv(READ_AHEAD_BYTES), 0
            self.received_bytes += len(self._ahead)
        piece = self._ahead[self._position : self._position + size]
        self._position += len(piece)
        return piece


class SharedTls:
    """A TLS socket for one thread that reads beside one that sends: OpenSSL allows one at a time.

    Parameters
    ----------
    sock : ssl.SSLSocket
        Connected.
    """

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self._sock = sock
        self._timeout_s = sock.gettimeout()
        self._lock = threading.Lock()
        sock.setblocking(False)

    def recv(self, size: int) -> bytes:
        """Wait for bytes and return at most `size` of them; none at the end."""
        return bytes(self._when_ready(lambda: self._sock.recv(size)))

    def sendall(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of `data`."""
        view = memoryview(data).cast("B")
        while view:
            view = view[self._when_ready(functools.partial(self._sock.send, view)) :]

    def settimeout(self, seconds: float | None) -> None:
        """Bound every later wait; None waits for ever."""
        self._timeout_s = seconds

    def shutdown(self, how: int) -> None:
        """End directions at once; whoever waits is woken."""
        self._sock.shutdown(how)

    def close(self) -> None:
        """Close it."""
        self._sock.close()

    def _when_ready(self, operation: Callable[[], Any]) -> Any:
        deadline_s = None if self._timeout_s is None else time.monotonic() + self._timeout_s
        while True:
            try:
                with self._lock:
                    return operation()
            except ssl.SSLWantReadError:
                self._wait(selectors.EVENT_READ, deadline_s)
            except ssl.SSLWantWriteError:
                self._wait(selectors.EVENT_WRITE, deadline_s)

    def _wait(self, event: int, deadline_s: float | None) -> None:
        left_s = None if deadline_s is None else max(0.0, deadline_s - time.monotonic())
        with selectors.DefaultSelector() as selector:
            try:
                selector.register(self._sock, event)
            except ValueError as exc:
                raise OSError("it is closed") from exc
            if not selector.select(left_s):
                raise TimeoutError(f"nothing has come within {self._timeout_s:g} s")


def _buffered(sock: socket.socket, response: http.client.HTTPResponse) -> bytes:
    """Return what has come with the head of the answer, without waiting for more."""
    before_s = sock.gettimeout()
    sock.setblocking(False)
    try:
        return bytes(response.fp.peek())
    except ssl.SSLWantReadError:
        return b""
    finally:
        sock.settimeout(before_s)

"""Channels of an SSH connection as pipes: sockets and commands of the host; opens none itself."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from kernelext.errors import LinkLost

WINDOW_BYTES = 8 * 1024 * 1024  # what the far side may send before it is read here

_ALL = 1 << 30


class Owner(Protocol):
    """What a channel asks of the connection that it belongs to."""

    def guard(self) -> AbstractContextManager[None]:
        """Turn foreign errors into `LinkLost`; let `TimeoutError` pass."""

    def is_open(self) -> bool:
        """Whether nothing has ended it, as far as is known here."""

    def raise_if_lost(self) -> None:
        """Raise `LinkLost` if it has ended."""

    def lost(self) -> LinkLost:
        """Make the error of a connection that broke."""


class SshPipe:
    """A channel as a `Pipe`; made by `Connection`."""

    def __init__(self, connection: Owner, channel: Any) -> None:
        self._connection = connection
        self._channel = channel
        self._rest = b""
        self._position = 0
        self._is_closed = False

    def sendall(self, data: bytes | bytearray | memoryview, /) -> None:
        """Send all of `data`.

        The timeout bounds the wait for the far side's window. Where the connection as a whole
        takes nothing, it breaks after `tcp.STALL_S`.

        Raises
        ------
        TimeoutError, LinkLost
        """
        view = memoryview(data).cast("B")
        with self._connection.guard():
            while view:
                sent = self._channel.send(view)
                if not sent:
                    raise self._connection.lost()
                view = view[sent:]
        if not self._connection.is_open():  # then paramiko dropped it without a word
            raise self._connection.lost()

    def recv(self, size: int, /) -> bytes:
        """Wait for bytes and return at most `size` of them; none at the end.

        Raises
        ------
        TimeoutError, LinkLost
        """
        if self._position == len(self._rest):
            # All there is: what stays behind, paramiko moves at every call, megabytes at worst.
            self._rest, self._position = self._receive(self._channel.recv), 0
        piece = self._rest[self._position : self._position + size]
        self._position += len(piece)
        return piece

    def settimeout(self, seconds: float | None, /) -> None:
        """Bound every later wait; None waits for ever."""
        self._channel.settimeout(seconds)

    def close(self) -> None:
        """End both directions; a thread that waits in `recv` gets no bytes."""
        self._is_closed = True
        try:
            with self._connection.guard():
                self._channel.close()
        except LinkLost:
            return

    def _receive(self, recv: Callable[[int], bytes]) -> bytes:
        with self._connection.guard():
            data = recv(_ALL)
        if not data and not self._is_closed and not self._channel.eof_received:
            self._connection.raise_if_lost()
        return data


class SshProcess(SshPipe):
    """A command on the host: a pipe to its standard input and output, and the rest of it."""

    def recv_stderr(self) -> bytes:
        """Wait for what it says on standard error; none at the end."""
        return self._receive(self._channel.recv_stderr)

    def send_end(self) -> None:
        """Close its standard input."""
        with self._connection.guard():
            self._channel.shutdown_write()

    def exit_status(self, timeout_s: float) -> int:
        """Wait for its end; -1 where a signal ended it.

        Raises
        ------
        TimeoutError, LinkLost
        """
        if not self._channel.status_event.wait(timeout_s):
            raise TimeoutError(f"The command has not ended within {timeout_s:g} s.")
        status = int(self._channel.exit_status)
        if status < 0:
            self._connection.raise_if_lost()
        return status

    def communicate(self, data: bytes = b"", timeout_s: float = 30.0) -> tuple[int, bytes, bytes]:
        """Send `data`, close its input and wait for its end.

        Parameters
        ----------
        data : bytes
        timeout_s : float
            For each silence.

        Returns
        -------
        tuple of int, bytes, bytes
            Exit status, standard output, standard error (of which it may say 8 MiB).

        Raises
        ------
        TimeoutError, LinkLost
        """
        self.settimeout(timeout_s)
        try:
            self.sendall(data)
            self.send_end()
            output = b"".join(iter(lambda: self.recv(WINDOW_BYTES), b""))
            errors = b"".join(iter(self.recv_stderr, b""))
            return self.exit_status(timeout_s), output, errors
        finally:
            self.close()

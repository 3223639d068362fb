"""A program of this machine as a pipe: its standard input and output. It knows no program."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence

READ_BYTES = 1024 * 1024
ENDING_S = 1.0


class Program:
    """A running program; a `Process` to its standard streams.

    Parameters
    ----------
    argv : sequence of str
    environ : mapping
    on_end : callable
        Asked when its output has ended, and before it is said so; may raise.
    stdin : int, optional
        A descriptor to read from, instead of what is sent.

    Attributes
    ----------
    received_bytes : int
    """

    def __init__(
        self,
        argv: Sequence[str],
        environ: Mapping[str, str],
        on_end: Callable[[Program], None] = lambda program: None,
        *,
        stdin: int | None = None,
    ) -> None:
        self._on_end = on_end
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the program
        self.received_bytes = 0
        self._sock, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = subprocess.Popen(
                    argv,
                    stdin=theirs.fileno() if stdin is None else stdin,
                    stdout=theirs.fileno(),
                    stderr=self._errors,
                    env=dict(environ),
                    start_new_session=True,  # Ctrl-C is for the cell; no terminal to ask at
                )
        except BaseException:
            self._sock.close()
            self._errors.close()
            raise

    def sendall(self, data: bytes | bytearray | memoryview, /) -> None:
        """Send all of `data` to its standard input."""
        self._sock.sendall(data)

    def recv(self, size: int, /) -> bytes:
        """Wait for output and return at most `size` bytes of it; none at the end."""
        data = self._sock.recv(size)
        self.received_bytes += len(data)
        if not data:
            self._on_end(self)
        return data

    def settimeout(self, seconds: float | None, /) -> None:
        """Bound every later wait; None waits for ever."""
        self._sock.settimeout(seconds)

    def poll(self) -> int | None:
        """Return its exit status, None while it runs."""
        return self._process.poll()

    def wait(self, timeout_s: float) -> int | None:
        """Wait for its end; None where it has not come in time."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def errors(self) -> str:
        """Return what it has said on standard error."""
        if self._errors.closed:
            return ""
        self._errors.seek(0)
        return self._errors.read(READ_BYTES).decode("utf-8", "replace").strip()

    def communicate(self, data: bytes = b"", timeout_s: float = 30.0) -> tuple[int, bytes, bytes]:
        """Send `data`, close its input and wait for its end: status, output, errors.

        Raises
        ------
        TimeoutError
        """
        self.settimeout(timeout_s)
        try:
            with contextlib.suppress(OSError):  # it may have ended already
                self.sendall(data)
                self._sock.shutdown(socket.SHUT_WR)
            output = b"".join(iter(lambda: self.recv(READ_BYTES), b""))
            status = self.wait(timeout_s)
            if status is None:
                raise TimeoutError(f"The command has not ended within {timeout_s:g} s.")
            return status, output, self.errors().encode()
        finally:
            self.close()

    def close(self) -> None:
        """End it; whoever waits for its output is woken."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        self._process.terminate()
        if self.wait(ENDING_S) is None:
            self._process.kill()
            self._process.wait()
        self._errors.close()

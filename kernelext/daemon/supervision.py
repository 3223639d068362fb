"""Talks with a container's supervisor, and reads its journal for the end."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from typing import Any

from kernelext.errors import DaemonError, ProtocolError
from kernelext.models import CONTROL_NAME, AttemptEnd
from kernelext.wire import FrameDecoder, Header, encode_frame

ANSWER_TIMEOUT_S = 30.0
READ_BYTES = 1024 * 1024


def connect_supervisor(work: Path) -> socket.socket | None:
    """Connect to the control socket; None while nobody listens yet."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(ANSWER_TIMEOUT_S)
    try:
        directory = os.open(work, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        connection.close()
        return None
    try:
        # By descriptor: a socket's path may have 107 bytes only.
        connection.connect(f"/proc/self/fd/{directory}/{CONTROL_NAME}")
    except OSError:
        connection.close()
        return None
    finally:
        os.close(directory)
    return connection


def ask_supervisor(connection: socket.socket, request: Header) -> Header:
    """Send one request and return the answer.

    Raises
    ------
    DaemonError
        When the supervisor is gone or refuses.
    """
    decoder = FrameDecoder()
    try:
        connection.sendall(encode_frame(request))
        while True:
            data = connection.recv(READ_BYTES)
            if not data:
                raise DaemonError("the container's supervisor is gone")
            for answer, _ in decoder.feed(data):
                if "error" in answer:
                    raise DaemonError(str(answer["error"]))
                return answer
    except (OSError, ProtocolError) as exc:
        raise DaemonError(f"the container's supervisor does not answer: {exc}") from exc


class JournalReader:
    """Reads an attempt's journal as it grows, and finds its end.

    Parameters
    ----------
    fd : int
        Opened before the cell could touch the file.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._decoder = FrameDecoder()
        self.offset = 0
        self.end: AttemptEnd | None = None

    def advance(self) -> None:
        """Read what is new.

        Raises
        ------
        DaemonError
            When the file has shrunk or holds no frames: the cell has damaged it.
        """
        if os.fstat(self._fd).st_size < self.offset:
            raise DaemonError("the cell has truncated its journal")
        while self.end is None:
            data = os.pread(self._fd, READ_BYTES, self.offset)
            if not data:
                return
            self.offset += len(data)
            try:
                for header, _ in self._decoder.feed(data):
                    self._notice(header)
            except ProtocolError as exc:
                raise DaemonError("the cell has damaged its journal") from exc

    @property
    def whole_bytes(self) -> int:
        """Size of the frames read so far: what follows is torn."""
        return self._decoder.consumed_bytes

    def _notice(self, header: dict[str, Any]) -> None:
        if header.get("kind") == "exit":
            with contextlib.suppress(ValueError, KeyError, TypeError):
                self.end = AttemptEnd.from_json(header)


def whole_journal(fd: int) -> tuple[int, AttemptEnd | None]:
    """Return how much of a journal that may be torn is whole, and its end, if it has one."""
    reader = JournalReader(fd)
    with contextlib.suppress(DaemonError):
        reader.advance()
    return reader.whole_bytes, reader.end

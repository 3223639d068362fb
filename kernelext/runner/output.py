"""What the cell writes to its two streams, joined into few events.

The first bytes after a pause go at once; what follows within `JOIN_S` is joined.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import termios
import time
from typing import Callable

JOIN_S = 0.010
JOIN_BYTES = 64 * 1024
PIPE_BYTES = 1024 * 1024
F_SETPIPE_SZ = 1031  # fcntl names it since Python 3.10


class StreamJoiner:
    """The reading end of one stream.

    Parameters
    ----------
    name : str
        ``stdout`` or ``stderr``.
    emit : callable
        Takes the name and the bytes of one event.
    """

    def __init__(self, name: str, emit: Callable[[str, bytes], None]) -> None:
        self.name = name
        self._emit = emit
        self._waiting = bytearray()
        self._last_s = 0.0
        self.at_end = False
        self.read_fd, self.write_fd = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.read_fd, False)
        with contextlib.suppress(OSError):  # a quota may forbid a larger pipe
            fcntl.fcntl(self.read_fd, F_SETPIPE_SZ, PIPE_BYTES)

    def read(self) -> int:
        """Take what there is, at most one event's worth; how many bytes."""
        try:
            data = os.read(self.read_fd, JOIN_BYTES)
        except BlockingIOError:
            return 0
        if not data:
            self.at_end = True
            return 0
        self._waiting += data
        now_s = time.monotonic()
        if len(self._waiting) >= JOIN_BYTES or now_s - self._last_s >= JOIN_S:
            self.flush()
        return len(data)

    def due_s(self) -> float | None:
        """Seconds until what waits has to go; None when nothing waits."""
        if not self._waiting:
            return None
        return max(0.0, self._last_s + JOIN_S - time.monotonic())

    def flush(self) -> None:
        """Emit what waits."""
        if self._waiting:
            self._emit(self.name, bytes(self._waiting))
            self._waiting.clear()
        self._last_s = time.monotonic()

    def drain(self) -> None:
        """Emit all that has been written so far, and no more: a child may never stop writing."""
        there = bytearray(4)
        fcntl.ioctl(self.read_fd, termios.FIONREAD, there)
        left = int.from_bytes(there, sys.byteorder)
        while left > 0:
            taken = self.read()
            if not taken:
                break
            left -= taken
        self.flush()

"""The attempt's journal: every event, numbered, appended as one frame."""

from __future__ import annotations

import os
import time

from kernelext.models import JOURNAL_VERSION
from kernelext.wire import Header, encode_frame


class Journal:
    """Appends events to a file that the daemon made and holds open."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._number = 0

    def begin(self, attempt: Header) -> None:
        """Write the first frame, which says whose journal this is and in what version."""
        self._write({"n": 0, "kind": "journal", "version": JOURNAL_VERSION, **attempt}, b"")

    def append(self, kind: str, header: Header, body: bytes = b"") -> None:
        """Number an event and write it."""
        self._number += 1
        self._write({"n": self._number, "kind": kind, "at": time.time(), **header}, body)

    def _write(self, header: Header, body: bytes) -> None:
        data = memoryview(encode_frame(header, body))
        while data:
            data = data[os.write(self._fd, data) :]

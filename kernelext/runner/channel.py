"""The cell's way to its supervisor: an event is in the journal when `emit` returns."""

from __future__ import annotations

import os
import socket
import threading
from typing import Any

from kernelext.errors import ProtocolError
from kernelext.wire import FrameDecoder, Header, encode_frame


class EventChannel:
    """Sends events and waits for each to be written.

    A process forked by the cell inherits the socket but must not speak on it:
    `is_mine` tells it so.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._emitting: int | None = None  # the thread that does
        self._interrupted = False

    @property
    def is_mine(self) -> bool:
        """Whether this process is the one that the supervisor talks with."""
        return os.getpid() == self._pid

    def receive_claim(self) -> Header:
        """Wait for the one frame that the supervisor sends: what to execute."""
        decoder = FrameDecoder()
        while True:
            data = self._socket.recv(1024 * 1024)
            if not data:
                raise ProtocolError("the supervisor has gone")
            for header, _ in decoder.feed(data):
                return header

    def emit(self, kind: str, header: Header | None = None, body: bytes = b"") -> None:
        """Journal an event after everything that was printed so far."""
        if not self.is_mine:
            return
        frame = encode_frame({"kind": kind, **(header or {})}, body)
        with self._lock:
            self._emitting = threading.get_ident()
            try:
                self._socket.sendall(frame)
                self._socket.recv(1)
            finally:
                self._emitting = None
        if self._interrupted:
            self._interrupted = False
            raise KeyboardInterrupt

    def on_interrupt(self, *_: Any) -> None:
        """Take SIGINT: at once, but never between an event's first byte and its answer."""
        if self._emitting == threading.get_ident():
            self._interrupted = True
        else:
            raise KeyboardInterrupt

    def barrier(self) -> None:
        """Return when the supervisor has read what was printed so far."""
        self.emit("barrier")

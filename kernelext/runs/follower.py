"""Follows one attempt's journal home: the same bytes, then the same events."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

from kernelext.errors import KernelExtError, ProtocolError
from kernelext.events import Event
from kernelext.models import JOURNAL_NAME, AttemptEnd, AttemptId, FileChanges, RunState
from kernelext.runs.journal import PIECE_BYTES, Account
from kernelext.runs.results import FoldResult, StoredValue
from kernelext.wire import FrameDecoder, Header

# What a push may lead to that the other side has made up, or that cannot be kept here.
NONSENSE = (KernelExtError, OSError, LookupError, ValueError, TypeError, ArithmeticError)


class Follower:
    """Keeps an attempt's journal in the user's data folder.

    What the daemon pushes is written at its own place in the file, so a cut connection goes
    on exactly there and nothing is lost or doubled, also where two connections, or two
    processes, bring the same piece.

    Parameters
    ----------
    attempt : AttemptId
    directory : Path
        The attempt's, at home.
    on_event, on_state, on_end : callable
        Called in the link's thread.
    on_failure : callable
        Told once what keeps the journal from going on here; then nothing more is taken.
    """

    def __init__(
        self,
        attempt: AttemptId,
        directory: Path,
        *,
        on_event: Callable[[Event], None],
        on_state: Callable[[RunState], None],
        on_end: Callable[[AttemptEnd, str], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        self.attempt = attempt
        self.directory = directory
        self.offset = 0
        self.changes = FileChanges()  # known with the end
        self._on_event = on_event
        self._on_state = on_state
        self._on_end = on_end
        self._on_failure = on_failure
        self._lock = threading.Lock()
        self._decoder = FrameDecoder()
        self._number = 0
        self.account = Account(directory)
        self._fd = -1  # opened with the first byte: a fan-out may be wider than a process's limit
        self._is_over = False

    def resume(self) -> None:
        """Begin where the file at home ends.

        Raises
        ------
        ProtocolError
            When what is there is no journal.
        """
        path = self.directory / JOURNAL_NAME
        if path.exists():
            with self._lock, path.open("rb") as file:
                while data := file.read(PIECE_BYTES):
                    self._read(data)

    def close(self) -> None:
        """Take nothing more."""
        with self._lock:
            self._let_go()

    def take(self, header: Header, body: bytes) -> None:
        """Take a push of the daemon; a later one than the end or a failure is left aside."""
        with self._lock:
            if self._is_over:
                return
            try:
                self._take(header, body)
            except NONSENSE as exc:
                # It concerns this attempt alone, not the others of its connection.
                self._let_go()
                self._on_failure(exc)

    def _take(self, header: Header, body: bytes) -> None:
        word = header["push"]
        if word == "journal":
            known_bytes = self.offset - int(header["offset"])
            if known_bytes < 0:
                raise ProtocolError(f"the journal of {self.attempt} has a gap")
            self._append(body[known_bytes:])
        elif word == "state":
            self._on_state(RunState(header["state"]))
        elif word == "end":
            end = AttemptEnd.from_json(header["end"])
            if body:
                self.changes = FileChanges.from_json(json.loads(body))
            self._let_go()
            self._on_end(end, str(header["image_digest"]))

    def _let_go(self) -> None:
        self._is_over = True
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Not O_APPEND: whoever else follows writes the same bytes at the same places.
        flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        self._fd = os.open(self.directory / JOURNAL_NAME, flags, 0o600)
        os.lseek(self._fd, self.offset, os.SEEK_SET)

    def _append(self, data: bytes) -> None:
        if self._fd < 0:
            self._open()
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
        self._read(data)

    def _read(self, data: bytes) -> None:
        self.offset += len(data)
        for header, body in self._decoder.feed(data):
            event = Event.from_frame(header, body)
            if event.kind == "journal":
                continue
            if event.number != self._number + 1:
                raise ProtocolError(f"the journal of {self.attempt} lacks an event")
            self._number = event.number
            self.account.note(event)
            self._on_event(event)

    # results

    def result(self, host: str, end: AttemptEnd) -> FoldResult:
        """Sum up, when all large values are here; results count only of a cell that is done."""
        account = self.account
        is_done = end.state is RunState.DONE
        values: dict[str, StoredValue] = account.values() if is_done else {}
        return FoldResult(
            self.attempt,
            host,
            end,
            values,
            account.left,
            changed=account.changed,
            deleted=account.deleted,
            failure=account.failure,
        )

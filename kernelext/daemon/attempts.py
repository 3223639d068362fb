"""The attempts of a state directory: what is known of each, kept on disk."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kernelext.daemon.outputs import Placed
from kernelext.daemon.pulse import Pulse
from kernelext.daemon.statedir import StateDir
from kernelext.daemon.supervision import ask_supervisor
from kernelext.errors import DaemonError
from kernelext.models import (
    AttemptEnd,
    AttemptId,
    FileChanges,
    RunSpec,
    RunState,
    Task,
    to_json,
)
from kernelext.wire import Header

log = logging.getLogger(__name__)

RECORD_NAME = "record.json"
CHANGES_NAME = "changes.json"
WORK_NAME = "work"


@dataclass(frozen=True)
class Record:
    """What outlives the daemon.

    Attributes
    ----------
    container : str
        Empty before one is created.
    image_digest : str
    boot_id : str
        Of the machine when the cell was handed over.
    gpus : tuple of str
        Ids of those that its container has.
    end : AttemptEnd or None
    """

    spec: RunSpec
    task: Task
    state: RunState
    queued_at: float
    container: str = ""
    image_digest: str = ""
    boot_id: str = ""
    end: AttemptEnd | None = None
    gpus: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Record:
        """Read the JSON form."""
        return cls(
            RunSpec.from_json(data["spec"]),
            Task.from_json(data["task"]),
            RunState(data["state"]),
            float(data["queued_at"]),
            data["container"],
            data["image_digest"],
            data["boot_id"],
            AttemptEnd.from_json(data["end"]) if data["end"] else None,
            tuple(data.get("gpus", ())),
        )


@dataclass
class Attempt:
    """An attempt as the running daemon holds it."""

    id: AttemptId
    record: Record
    env: dict[str, str] = field(default_factory=dict, repr=False)
    journal_fd: int = -1
    final_bytes: int | None = None  # the journal's size when it has ended
    stop_asked: str = ""  # an EndCause: someone wants it gone
    control: socket.socket | None = None
    is_unwanted: bool = False  # to be deleted as soon as it has ended
    placed: Placed = field(default_factory=Placed)
    changes: bytes = b""  # `FileChanges` as JSON, when it has ended; empty: none
    listeners: set[int] = field(default_factory=set)  # sessions whose client has followed it
    _closing: threading.Lock = field(default_factory=threading.Lock)
    _asking: threading.Lock = field(default_factory=threading.Lock)

    @property
    def state(self) -> RunState:
        """What it is doing."""
        return self.record.state

    def journal_size(self) -> int:
        """Return how many bytes of the journal may be sent."""
        with self._closing:
            return self._size()

    def read_journal(self, offset: int, size: int) -> bytes:
        """Return at most `size` bytes of the journal; none where it ends or is not open."""
        with self._closing:  # else the number may be another file's by now
            size = min(size, self._size() - offset)
            if size <= 0 or self.journal_fd < 0:
                return b""
            return os.pread(self.journal_fd, size, offset)

    def _size(self) -> int:
        if self.final_bytes is not None:
            return self.final_bytes
        return os.fstat(self.journal_fd).st_size if self.journal_fd >= 0 else 0

    def ask(self, request: Header) -> Header:
        """Ask the container's supervisor, which takes one request after the other.

        Raises
        ------
        DaemonError
            When it is gone or refuses.
        """
        if self.control is None:
            raise DaemonError("the container's supervisor is gone")
        with self._asking:
            return ask_supervisor(self.control, request)

    def close(self) -> None:
        """Let descriptors go."""
        with self._closing:
            if self.journal_fd >= 0:
                os.close(self.journal_fd)
                self.journal_fd = -1
                self.final_bytes = 0
        if self.control is not None:
            self.control.close()
            self.control = None


class Attempts:
    """All attempts, by id; changes are on disk before anyone hears of them."""

    def __init__(self, state: StateDir, secrets_dir: Path, pulse: Pulse) -> None:
        self._state = state
        self._pulse = pulse
        self._known: dict[AttemptId, Attempt] = {}
        _make_private(secrets_dir)
        # Several daemons share the folder; what lies in this one's own is known to it.
        self._secrets = secrets_dir / hashlib.sha256(str(state.root).encode()).hexdigest()[:12]
        _make_private(self._secrets)

    def load(self) -> None:
        """Read what an earlier daemon has left."""
        for path in sorted(self._state.runs.glob(f"*/*/*/{RECORD_NAME}")):
            try:
                run, fold, number = path.parts[-4:-1]
                attempt_id = AttemptId(run, fold, int(number))
                record = Record.from_json(json.loads(path.read_text()))
            except (OSError, ValueError, KeyError, TypeError):
                continue  # never whole: its client was not told that it is queued
            attempt = Attempt(attempt_id, record)
            with contextlib.suppress(OSError, ValueError):
                attempt.env = json.loads(self._secret(attempt_id).read_text())
            with contextlib.suppress(OSError):
                attempt.changes = (path.parent / CHANGES_NAME).read_bytes()
            self._known[attempt_id] = attempt
        known = {self._secret(attempt.id).name for attempt in self.living()}
        for path in self._secrets.iterdir():
            if path.name not in known:
                path.unlink()

    def add(self, spec: RunSpec, task: Task, env: dict[str, str]) -> None:
        """Queue an attempt; one that is known already stays as it is."""
        attempt_id = AttemptId(spec.run, task.fold, task.attempt)
        with self._pulse:
            if attempt_id in self._known:
                return
            directory = self._state.attempt(attempt_id)
            record = Record(spec, task, RunState.QUEUED, time.time())
            attempt = Attempt(attempt_id, record, dict(env))
            try:
                directory.mkdir(parents=True, exist_ok=True)  # left by one never whole
                self._keep_env(attempt)
                self._save(attempt)
            except OSError:  # the disk is full: its client is told that it is not queued
                self._secret(attempt_id).unlink(missing_ok=True)
                self._state.forget(attempt_id)
                raise
            self._known[attempt_id] = attempt
            self._pulse.beat()

    def change(self, attempt: Attempt, **changes: Any) -> None:
        """Change the record: on disk, then in memory, then tell.

        An end counts also where a full disk does not take it.
        """
        with self._pulse:
            attempt.record = dataclasses.replace(attempt.record, **changes)
            try:
                self._save(attempt)
            except OSError as exc:
                if not attempt.state.is_final:
                    raise
                log.warning("attempt.unsaved id=%s reason=%s", attempt.id, exc)
            if attempt.state.is_final:
                self.drop_env(attempt)
            self._pulse.beat()

    def keep_changes(self, attempt: Attempt, changes: FileChanges) -> None:
        """Keep what an attempt has changed, for whoever hears of its end."""
        if changes.files or changes.left:
            attempt.changes = json.dumps(to_json(changes), separators=(",", ":")).encode()
            with contextlib.suppress(OSError):  # the disk may be full: it is in memory too
                (self._state.attempt(attempt.id) / CHANGES_NAME).write_bytes(attempt.changes)

    def drop_env(self, attempt: Attempt) -> None:
        """Forget the values of an attempt's environment: its cell has them."""
        attempt.env = {}
        with contextlib.suppress(FileNotFoundError):
            self._secret(attempt.id).unlink()

    def get(self, attempt_id: AttemptId) -> Attempt:
        """Return an attempt.

        Raises
        ------
        DaemonError
            When this host does not know it.
        """
        with self._pulse:
            if attempt_id not in self._known:
                raise DaemonError(f"this host does not know the attempt {attempt_id}")
            return self._known[attempt_id]

    def forget(self, attempt: Attempt) -> None:
        """Delete an ended attempt and its files."""
        with self._pulse:
            self._known.pop(attempt.id, None)
            attempt.close()
        self._state.forget(attempt.id)

    def work(self, attempt: Attempt) -> Path:
        """Return the attempt's work directory, which its container has claimed."""
        return self._state.attempt(attempt.id) / WORK_NAME

    def __iter__(self) -> Iterator[Attempt]:
        """Go over all, in the order they were queued."""
        with self._pulse:
            known = list(self._known.values())
        return iter(sorted(known, key=lambda attempt: attempt.record.queued_at))

    def living(self) -> list[Attempt]:
        """List those that have not ended."""
        return [attempt for attempt in self if not attempt.state.is_final]

    def _save(self, attempt: Attempt) -> None:
        path = self._state.attempt(attempt.id) / RECORD_NAME
        partial = path.with_suffix(".new")
        partial.write_text(json.dumps(to_json(attempt.record)))
        partial.replace(path)

    def _keep_env(self, attempt: Attempt) -> None:
        if not attempt.env:
            return
        path = self._secret(attempt.id)
        path.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o600), "w") as secret:
            json.dump(attempt.env, secret)

    def _secret(self, attempt: AttemptId) -> Path:
        return self._secrets / f"{attempt.run}-{attempt.fold}-{attempt.attempt}.json"


def _make_private(folder: Path) -> None:
    """Make a folder that nobody else may enter; its name can be guessed, so look whose it is.

    Raises
    ------
    DaemonError
        When somebody else has made it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        owner = f"user {found.st_uid}" if stat.S_ISDIR(found.st_mode) else "no folder"
        raise DaemonError(
            f"{folder}, where values of --env are held in memory, is not ours ({owner}):"
            " have its owner or root remove it"
        )
    folder.chmod(0o700)

"""One SQLite file shared by threads and processes: opening, transactions, errors in words."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from kernelext.errors import HistoryError
from kernelext.history.filesystem import MOUNTS, is_on_network
from kernelext.history.migrations import migrate, refuse_newer

BUSY_TIMEOUT_S = 10.0


class Database:
    """A connection behind a lock.

    Parameters
    ----------
    path : Path
        The file; it and its folder are made, readable by this user alone, when absent.
    mounts : Path, optional
        The system's table of mounts: on a network's file system there is no write-ahead log.
    """

    def __init__(self, path: Path, mounts: Path = MOUNTS) -> None:
        self.path = path
        self._is_shared = is_on_network(path, mounts)
        self._lock = threading.RLock()
        with self._errors():
            _create_private(path)
            self._db = sqlite3.connect(
                path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise

    def close(self) -> None:
        """Close the connection; a second time does nothing."""
        with self._lock:
            self._db.close()

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Hold a write transaction: all of the block is kept, or none of it."""
        with self._lock, self._errors():
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            finally:
                # Also after KeyboardInterrupt, wherever it landed.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Hold the connection for queries; writers elsewhere are not held up."""
        with self._lock, self._errors():
            yield self._db

    def _prepare(self) -> None:
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA foreign_keys = ON")
        refuse_newer(self._db)
        _set_journal(self._db, "DELETE" if self._is_shared else "WAL")
        # NORMAL is safe with a write-ahead log only.
        self._db.execute(f"PRAGMA synchronous = {'FULL' if self._is_shared else 'NORMAL'}")
        migrate(self._db)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as exc:
            raise HistoryError(_sentence(self.path, exc)) from exc
        except OSError as exc:
            reason = exc.strerror or str(exc)
            raise HistoryError(_unwritable(self.path, reason)) from exc


def _create_private(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # An existing file is not opened here: closing any descriptor of it would drop the POSIX
    # locks that another connection of this process holds.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _set_journal(db: sqlite3.Connection, mode: str) -> None:
    # SQLite does not wait for its busy timeout while it changes the journal's mode.
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            db.execute(f"PRAGMA journal_mode = {mode}").fetchone()
        except sqlite3.OperationalError as exc:
            if not _code(exc).startswith("SQLITE_BUSY") or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _code(exc: sqlite3.Error) -> str:
    return str(getattr(exc, "sqlite_errorname", ""))


def _sentence(path: Path, exc: sqlite3.Error) -> str:
    code = _code(exc)
    if code.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return (
            f"The history {path} is damaged ({exc}): move the file away, and the next run "
            "starts a new one."
        )
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return (
            f"The history {path} has been held by another program for {BUSY_TIMEOUT_S:g} s: "
            "end that program and run again."
        )
    if code.startswith("SQLITE_FULL") or (code.startswith("SQLITE_IOERR") and _is_full(path)):
        return f"No space is left for the history {path}: free some and run again."
    if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_IOERR")):
        return _unwritable(path, str(exc))
    return f"The history {path} refused: {exc}."


def _is_full(path: Path) -> bool:
    """Whether the disk has too little room for what SQLite maps beside a history."""
    with contextlib.suppress(OSError):
        return shutil.disk_usage(path.parent).free < 64 * 1024
    return False


def _unwritable(path: Path, reason: str) -> str:
    return (
        f"The history {path} cannot be written ({reason}): let yourself write there, "
        "or name another folder in KERNELEXT_DATA."
    )

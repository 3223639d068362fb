"""The history: what is written before, while and after a run, and what is asked of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from kernelext.errors import HistoryError
from kernelext.history.database import Database
from kernelext.history.find import RunFilter, newest_runs, one_run
from kernelext.history.records import (
    AttemptRow,
    FoldRow,
    HostRow,
    RunRow,
    columns,
    from_columns,
    iso_time,
    to_columns,
)
from kernelext.history.settle import settle_fold, settle_run
from kernelext.models import AttemptEnd, AttemptId, RunState


class History:
    """The history of one user; any thread may use it, and any number of processes.

    Times come in as seconds since 1970 and stand in the rows as `iso_time` writes them.
    Every method raises `HistoryError` when the file cannot be read or written.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, path: Path) -> History:
        """Open the history at `path`, made when absent and brought to this version.

        Raises
        ------
        HistoryError
            When the file is broken, cannot be written, or is of a newer kernelext.
        """
        return cls(Database(path))

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        self._database.close()

    def __enter__(self) -> History:
        """Return the history itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()

    def add_run(self, run: RunRow, folds: Sequence[str]) -> None:
        """Write a run and its folds, all queued, at once; nothing has started yet.

        Parameters
        ----------
        run : RunRow
        folds : sequence of str
            In the order in which they are shown; at least one.
        """
        if not folds:
            raise ValueError("a run has at least one fold")
        with self._database.writing() as db:
            _insert(db, "runs", run)
            for position, fold in enumerate(folds):
                _insert(db, "folds", FoldRow(run.id, fold, position))

    def add_attempt(self, attempt: AttemptId, host: str, at: float) -> None:
        """Write that a fold is to be executed, or executed again, on `host`."""
        row = AttemptRow(attempt.run, attempt.fold, attempt.attempt, host, iso_time(at))
        with self._database.writing() as db:
            _insert(db, "attempts", row)
            settle_fold(db, attempt.run, attempt.fold, row.started_at)

    def set_attempt_state(
        self,
        attempt: AttemptId,
        state: RunState,
        at: float,
        *,
        image_digest: str | None = None,
        boot_id: str | None = None,
    ) -> None:
        """Write an attempt's unfinished state; one that has ended keeps its end.

        Parameters
        ----------
        attempt : AttemptId
        state : RunState
            Not a final one: those come with their cause, by `end_attempt`.
        at : float
            Seconds since 1970.
        image_digest, boot_id : str or None
            What has become known; None leaves what is there.
        """
        if state.is_final:
            raise ValueError(f"{state.value} is final: call end_attempt")
        with self._database.writing() as db:
            found = db.execute(
                "UPDATE attempts SET state = CASE WHEN ended_at IS NULL THEN ? ELSE state END,"
                " image_digest = coalesce(?, image_digest), boot_id = coalesce(?, boot_id)"
                " WHERE run = ? AND fold = ? AND attempt = ?",
                (state.value, image_digest, boot_id, *_key(attempt)),
            )
            _require(found, attempt)
            settle_fold(db, attempt.run, attempt.fold, iso_time(at))

    def end_attempt(
        self,
        attempt: AttemptId,
        end: AttemptEnd,
        at: float,
        journal_bytes: int = 0,
        *,
        corrects: bool = False,
    ) -> None:
        """Write how an attempt ended; a second end counts only after ``lost``.

        Parameters
        ----------
        attempt : AttemptId
        end : AttemptEnd
        at : float
            Seconds since 1970.
        journal_bytes : int
            Size of the journal at home.
        corrects : bool
            Whether it counts after any other end.
        """
        values = {**to_columns(end), "ended_at": iso_time(at), "journal_bytes": journal_bytes}
        with self._database.writing() as db:
            assignments = ", ".join(
                # A host thought lost may bring the real end later; the journal only grows.
                f"{name} = CASE WHEN {int(corrects)} OR ended_at IS NULL OR state = 'lost'"
                f" THEN ? ELSE {name} END"
                for name in values
            )
            found = db.execute(
                f"UPDATE attempts SET {assignments}"  # noqa: S608 - our own column names
                " WHERE run = ? AND fold = ? AND attempt = ?",
                (*values.values(), *_key(attempt)),
            )
            _require(found, attempt)
            settle_fold(db, attempt.run, attempt.fold, iso_time(at))

    def end_unstarted(self, run: str, end: AttemptEnd, at: float) -> None:
        """End the folds of a run that no attempt was made of: cancelled or refused before."""
        with self._database.writing() as db:
            db.execute(
                "UPDATE folds SET state = ?, cause = ?, message = ? WHERE run = ? AND NOT EXISTS"
                " (SELECT 1 FROM attempts a WHERE a.run = folds.run AND a.fold = folds.fold)",
                (end.state.value, end.cause.value if end.cause else None, end.message, run),
            )
            settle_run(db, run, iso_time(at))

    def add_bytes(self, run: str, sent: int = 0, received: int = 0) -> None:
        """Add to what a run has moved over the network."""
        with self._database.writing() as db:
            db.execute(
                "UPDATE runs SET sent_bytes = sent_bytes + ?, received_bytes = received_bytes + ?"
                " WHERE id = ?",
                (sent, received, run),
            )

    def note_commit(self, run: str, commit: str, *, is_dirty: bool) -> None:
        """Write which commit a run's project was at, and whether files differed from it."""
        with self._database.writing() as db:
            db.execute(
                "UPDATE runs SET git_commit = ?, git_dirty = ? WHERE id = ?",
                (commit, is_dirty, run),
            )

    def touch_host(
        self, name: str, kind: str, source: str, at: float, facts: Mapping[str, Any] | None = None
    ) -> None:
        """Write that a host is in use, and what its daemon said; None keeps the last facts."""
        stored = None if facts is None else json.dumps(dict(facts))
        with self._database.writing() as db:
            db.execute(
                "INSERT INTO hosts (name, kind, source, first_used_at, last_used_at, facts)"
                " VALUES (:name, :kind, :source, :at, :at, coalesce(:facts, '{}'))"
                " ON CONFLICT (name) DO UPDATE SET kind = :kind,"
                " source = :source, last_used_at = :at, facts = coalesce(:facts, facts)",
                {"name": name, "kind": kind, "source": source, "at": iso_time(at), "facts": stored},
            )

    def hosts(self) -> list[HostRow]:
        """Return the hosts ever used, the last used first."""
        with self._database.reading() as db:
            found = db.execute("SELECT * FROM hosts ORDER BY last_used_at DESC, name").fetchall()
        return [from_columns(HostRow, row) for row in found]

    def runs(self, limit: int = 20, text: str | None = None) -> list[RunRow]:
        """Return the newest runs first, at most `limit`, only those with `text` in them."""
        return self.find(RunFilter(text=text, limit=limit))

    def find(self, wanted: RunFilter) -> list[RunRow]:
        """Return the runs that are wanted, the newest first."""
        with self._database.reading() as db:
            return newest_runs(db, wanted)

    def unfinished(self) -> list[RunRow]:
        """Return the runs that have not ended, the newest first."""
        states = tuple(state for state in RunState if not state.is_final)
        return self.find(RunFilter(states=states))

    def run(self, id_or_prefix: str) -> RunRow:
        """Return one run by its id, the beginning of it, its name, or ``last``.

        Raises
        ------
        HistoryError
            When there is none, or more than one; the message names the candidates.
        """
        with self._database.reading() as db:
            return one_run(db, id_or_prefix)

    def folds(self, run: str) -> list[FoldRow]:
        """Return a run's folds in their order."""
        with self._database.reading() as db:
            found = db.execute(
                "SELECT * FROM folds WHERE run = ? ORDER BY position", (run,)
            ).fetchall()
        return [from_columns(FoldRow, row) for row in found]

    def attempts(self, run: str, fold: str | None = None) -> list[AttemptRow]:
        """Return a run's attempts, or one fold's: fold by fold, the oldest first."""
        with self._database.reading() as db:
            found = db.execute(
                "SELECT a.* FROM attempts a JOIN folds f ON f.run = a.run AND f.fold = a.fold"
                " WHERE a.run = ? AND (? IS NULL OR a.fold = ?) ORDER BY f.position, a.attempt",
                (run, fold, fold),
            ).fetchall()
        return [from_columns(AttemptRow, row) for row in found]


def _insert(db: sqlite3.Connection, table: str, row: Any) -> None:
    names = columns(type(row))
    marks = ", ".join(f":{name}" for name in names)
    db.execute(
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})",  # noqa: S608 - our names
        to_columns(row),
    )


def _key(attempt: AttemptId) -> tuple[str, str, int]:
    return (attempt.run, attempt.fold, attempt.attempt)


def _require(found: sqlite3.Cursor, attempt: AttemptId) -> None:
    if found.rowcount == 0:
        raise HistoryError(f"The history knows no attempt {attempt}.")

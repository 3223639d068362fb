"""The schema's versions, oldest first; a version once released is never edited, only added to."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from kernelext.errors import HistoryError

_VERSION_1 = (
    """
    CREATE TABLE runs (
        id TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        title TEXT NOT NULL,
        kind TEXT NOT NULL,
        code TEXT NOT NULL,
        filename TEXT NOT NULL,
        created_at TEXT NOT NULL,
        notebook TEXT,
        project_dir TEXT NOT NULL,
        hosts TEXT NOT NULL,
        options TEXT NOT NULL,
        git_commit TEXT,
        git_dirty INTEGER,
        packages TEXT NOT NULL,
        python TEXT NOT NULL,
        kernelext_version TEXT NOT NULL,
        ended_at TEXT,
        state TEXT NOT NULL,
        cause TEXT,
        message TEXT NOT NULL,
        sent_bytes INTEGER NOT NULL,
        received_bytes INTEGER NOT NULL
    )
    """,
    """
    CREATE TABLE folds (
        run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
        fold TEXT NOT NULL,
        position INTEGER NOT NULL,
        state TEXT NOT NULL,
        cause TEXT,
        message TEXT NOT NULL,
        host TEXT,
        PRIMARY KEY (run, fold)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE attempts (
        run TEXT NOT NULL,
        fold TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        host TEXT NOT NULL,
        started_at TEXT NOT NULL,
        state TEXT NOT NULL,
        cause TEXT,
        message TEXT NOT NULL,
        image_digest TEXT,
        boot_id TEXT,
        ended_at TEXT,
        exit_code INTEGER,
        signal INTEGER,
        peak_bytes INTEGER,
        journal_bytes INTEGER NOT NULL,
        PRIMARY KEY (run, fold, attempt),
        FOREIGN KEY (run, fold) REFERENCES folds (run, fold) ON DELETE CASCADE
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE hosts (
        name TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        source TEXT NOT NULL,
        first_used_at TEXT NOT NULL,
        last_used_at TEXT NOT NULL,
        facts TEXT NOT NULL
    ) WITHOUT ROWID
    """,
    "CREATE INDEX runs_newest ON runs (created_at DESC)",
    "CREATE INDEX runs_title ON runs (title, created_at DESC)",
    "CREATE INDEX runs_state ON runs (state, created_at DESC)",
)

MIGRATIONS: tuple[Sequence[str], ...] = (_VERSION_1,)


def migrate(db: sqlite3.Connection, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Bring a history to the newest version; the caller has opened it without a transaction.

    Parameters
    ----------
    db : sqlite3.Connection
        In autocommit (``isolation_level=None``).
    migrations : sequence of sequences of str
        The statements that lead from each version to the next.

    Raises
    ------
    HistoryError
        When the file is of a version newer than `migrations` know.
    """
    if _version(db) == len(migrations):
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        # Asked again inside the transaction: another process may have migrated meanwhile.
        found = refuse_newer(db, len(migrations))
        for statements in migrations[found:]:
            for statement in statements:
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {len(migrations)}")
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def refuse_newer(db: sqlite3.Connection, known: int = len(MIGRATIONS)) -> int:
    """Return a history's version, before anything of the file is changed.

    Raises
    ------
    HistoryError
        When it is newer than `known`.
    """
    found = _version(db)
    if found > known:
        raise HistoryError(
            f"The history was written by a newer kernelext (version {found} of its tables, "
            f"this one knows {known}): update kernelext."
        )
    return found


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])

"""Every older file is brought to this version, and no newer one is touched."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kernelext.errors import HistoryError
from kernelext.history import History
from kernelext.history.migrations import MIGRATIONS, migrate

LATER = (*MIGRATIONS, ("ALTER TABLE runs ADD COLUMN price_usd REAL",))


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as opened:
        yield opened


def schema(db: sqlite3.Connection) -> tuple[list[str], int]:
    found = db.execute("SELECT sql FROM sqlite_master WHERE sql NOT NULL ORDER BY name").fetchall()
    return [row[0] for row in found], db.execute("PRAGMA user_version").fetchone()[0]


def test_migrate_from_every_version_gives_the_same_tables(db: sqlite3.Connection) -> None:
    migrate(db)
    wanted = schema(db)
    for version in range(1, len(MIGRATIONS) + 1):
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as older:
            migrate(older, MIGRATIONS[:version])
            migrate(older)
            assert schema(older) == wanted


def test_migrate_twice_does_nothing(db: sqlite3.Connection) -> None:
    migrate(db, MIGRATIONS[:1])
    migrate(db)
    before, changes = schema(db), db.total_changes
    migrate(db)
    assert (schema(db), db.total_changes) == (before, changes)


def test_migrate_that_fails_leaves_the_file_as_it_was(db: sqlite3.Connection) -> None:
    migrate(db)
    before = schema(db)
    with pytest.raises(sqlite3.OperationalError):
        migrate(db, (*MIGRATIONS, ("CREATE TABLE more (a)", "NOT SQL")))
    assert schema(db) == before


def test_released_columns_stay_for_older_programs(path: Path) -> None:
    with History.open(path) as older, closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate(db, LATER)
        older.touch_host("local", "process", "this machine", 0.0)
        assert older.runs() == []


def test_newer_version_is_refused_and_not_touched(path: Path) -> None:
    History.open(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrate(db, LATER)
        before = schema(db)
    with pytest.raises(HistoryError, match="update kernelext"):
        History.open(path)
    with closing(sqlite3.connect(path)) as db:
        assert schema(db) == before

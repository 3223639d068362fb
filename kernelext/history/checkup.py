"""Looks at a history without making or changing it."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from kernelext.errors import HistoryError
from kernelext.history.migrations import MIGRATIONS


@dataclass(frozen=True)
class HistoryFacts:
    """What was found.

    Attributes
    ----------
    runs : int
    is_wal : bool
        Whether several processes can use it without waiting for each other.
    size_bytes : int
    """

    runs: int
    is_wal: bool
    size_bytes: int


def inspect_history(path: Path) -> HistoryFacts | None:
    """Open a history for reading; None where there is none yet.

    Raises
    ------
    HistoryError
        It is damaged, cannot be read, or is of a newer kernelext.
    """
    if not path.exists():
        return None
    try:
        db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5.0)
        try:
            version = int(db.execute("PRAGMA user_version").fetchone()[0])
            if version > len(MIGRATIONS):
                raise HistoryError(f"{path} was written by a newer kernelext: update kernelext")
            damage = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
            mode = str(db.execute("PRAGMA journal_mode").fetchone()[0])
            runs = int(db.execute("SELECT count(*) FROM runs").fetchone()[0]) if version else 0
        finally:
            db.close()
    except sqlite3.Error as exc:
        raise HistoryError(f"{path} cannot be read ({exc}): move the file away") from exc
    if damage != "ok":
        raise HistoryError(f"{path} is damaged ({damage}): move the file away")
    return HistoryFacts(runs, mode == "wal", path.stat().st_size)

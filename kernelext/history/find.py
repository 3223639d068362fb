"""Finds runs by what a person types."""

from __future__ import annotations

import sqlite3

from kernelext.errors import HistoryError
from kernelext.history.records import RunRow, from_columns

_NEWEST = "ORDER BY created_at DESC, rowid DESC"
_SHOWN_CANDIDATES = 5


def newest_runs(db: sqlite3.Connection, limit: int, text: str | None) -> list[RunRow]:
    """Return the newest runs, those with `text` in title, code, notebook, hosts or id."""
    where, wanted = "", ""
    if text:
        where = (
            r"WHERE title || char(10) || code || char(10) || coalesce(notebook, '')"
            r" || char(10) || hosts || char(10) || id LIKE :wanted ESCAPE '\'"
        )
        wanted = "%" + _escaped(text) + "%"
    found = db.execute(
        f"SELECT * FROM runs {where} {_NEWEST} LIMIT :limit",  # noqa: S608 - constants only
        {"wanted": wanted, "limit": limit},
    )
    return [from_columns(RunRow, row) for row in found]


def one_run(db: sqlite3.Connection, wanted: str) -> RunRow:
    """Return the run of this id, title or beginning of an id; ``last`` is the newest."""
    if wanted == "last":
        found = newest_runs(db, 1, None)
        if not found:
            raise HistoryError("The history is empty: nothing has run yet.")
        return found[0]
    # In this order, so that a name that looks like the beginning of an id stays reachable.
    for where, value in (
        ("id = ?", wanted),
        ("title = ?", wanted),
        (r"id LIKE ? ESCAPE '\'", _escaped(wanted) + "%"),
    ):
        found = _where(db, where, value) if wanted else []
        if len(found) == 1 or (found and where.startswith("title")):
            return found[0]  # a name that was used again means its newest run
        if found:
            raise HistoryError(_ambiguous(wanted, found))
    raise HistoryError(
        f'The history has no run "{wanted}": `kernelext runs` lists ids and names, '
        "and `last` is the newest."
    )


def _where(db: sqlite3.Connection, where: str, value: str) -> list[RunRow]:
    query = f"SELECT * FROM runs WHERE {where} {_NEWEST} LIMIT ?"  # noqa: S608 - constants only
    found = db.execute(query, (value, _SHOWN_CANDIDATES + 1))
    return [from_columns(RunRow, row) for row in found]


def _ambiguous(wanted: str, found: list[RunRow]) -> str:
    shown = [f"{run.id} ({run.title}, {run.created_at})" for run in found[:_SHOWN_CANDIDATES]]
    more = " and others" if len(found) > _SHOWN_CANDIDATES else ""
    return f'"{wanted}" may be {", ".join(shown)}{more}: give the id of one.'


def _escaped(text: str) -> str:
    for special in "\\%_":
        text = text.replace(special, "\\" + special)
    return text

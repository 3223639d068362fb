"""Finds runs by what a person types."""

from __future__ import annotations

import difflib
import sqlite3
from dataclasses import dataclass

from kernelext.errors import HistoryError
from kernelext.history.records import RunRow, from_columns
from kernelext.models import Json, RunState

_NEWEST = "ORDER BY created_at DESC, rowid DESC"
_TEXT = (
    r"title || char(10) || code || char(10) || coalesce(notebook, '')"
    r" || char(10) || hosts || char(10) || id LIKE :text ESCAPE '\'"
)
_HOST = (
    "(EXISTS (SELECT 1 FROM json_each(runs.hosts) WHERE value = :host)"
    " OR EXISTS (SELECT 1 FROM folds WHERE folds.run = runs.id AND folds.host = :host))"
)
_NEAR_AMONG = 500  # of the newest, whose names and ids a mistake is compared with
_SHOWN_CANDIDATES = 5


@dataclass(frozen=True)
class RunFilter:
    """Which runs are wanted; None does not ask.

    Attributes
    ----------
    text : str or None
        In title, code, notebook, hosts or id.
    host : str or None
        Asked for, or used by a fold.
    states : tuple of RunState or None
    since, until : str or None
        Bounds of the creation, as `iso_time` writes them.
    limit : int or None
    """

    text: str | None = None
    host: str | None = None
    states: tuple[RunState, ...] | None = None
    since: str | None = None
    until: str | None = None
    limit: int | None = None

    def where(self) -> tuple[str, Json]:
        """Return the condition and its parameters."""
        parts, values = ["1"], {}
        if self.text:
            parts.append(_TEXT)
            values["text"] = "%" + _escaped(self.text) + "%"
        if self.host is not None:
            parts.append(_HOST)
            values["host"] = self.host
        if self.states is not None:
            names = {f"state{place}": each.value for place, each in enumerate(self.states)}
            parts.append(f"state IN ({', '.join(':' + name for name in names)})")
            values.update(names)
        if self.since is not None:
            parts.append("created_at >= :since")
            values["since"] = self.since
        if self.until is not None:
            parts.append("created_at < :until")
            values["until"] = self.until
        return " AND ".join(parts), values


def newest_runs(db: sqlite3.Connection, wanted: RunFilter) -> list[RunRow]:
    """Return the runs that are wanted, the newest first."""
    where, values = wanted.where()
    limit = -1 if wanted.limit is None else wanted.limit
    found = db.execute(
        f"SELECT * FROM runs WHERE {where} {_NEWEST} LIMIT :limit",  # noqa: S608 - constants only
        {**values, "limit": limit},
    )
    return [from_columns(RunRow, row) for row in found]


def one_run(db: sqlite3.Connection, wanted: str) -> RunRow:
    """Return the run of this id, title or beginning of an id; ``last`` is the newest."""
    if wanted == "last":
        found = newest_runs(db, RunFilter(limit=1))
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
        f'The history has no run "{wanted}": {_nearest(db, wanted)}`kernelext runs` lists ids and '
        "names, and `last` is the newest."
    )


def _nearest(db: sqlite3.Connection, wanted: str) -> str:
    newest = newest_runs(db, RunFilter(limit=_NEAR_AMONG))
    known = dict.fromkeys([*(run.title for run in newest), *(run.id for run in newest), "last"])
    near = difflib.get_close_matches(wanted, [name for name in known if name], n=3, cutoff=0.6)
    return f"did you mean {' or '.join(near)}? " if near else ""


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

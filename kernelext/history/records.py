"""The rows of the history, and their way into and out of SQLite."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from kernelext.models import AttemptId, EndCause, Json, RunState

R = TypeVar("R")


def iso_time(at: float) -> str:
    """Write seconds since 1970 as the history does: ISO 8601, UTC, milliseconds.

    Examples
    --------
    >>> iso_time(0.25)
    '1970-01-01T00:00:00.250Z'
    """
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


@dataclass(frozen=True)
class RunRow:
    """One submitted cell.

    Attributes
    ----------
    id, owner, title : str
    kind : str
        ``remote`` or ``folds``.
    code, filename : str
        The cell, and what tracebacks call it.
    created_at : str
        As `iso_time` writes it.
    notebook : str or None
    project_dir : str
    hosts : tuple of str
        As asked for.
    options : mapping
        The magic's options, plain JSON.
    git_commit : str or None
    git_dirty : bool or None
    packages : mapping of str to str
        Name and version of what the cell imports.
    python, kernelext_version : str
    ended_at : str or None
    state : RunState
    cause : EndCause or None
    message : str
    sent_bytes, received_bytes : int
    """

    id: str
    owner: str
    title: str
    kind: str
    code: str
    filename: str
    created_at: str
    notebook: str | None = None
    project_dir: str = ""
    hosts: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    git_commit: str | None = None
    git_dirty: bool | None = None
    packages: Mapping[str, str] = field(default_factory=dict)
    python: str = ""
    kernelext_version: str = ""
    ended_at: str | None = None
    state: RunState = RunState.QUEUED
    cause: EndCause | None = None
    message: str = ""
    sent_bytes: int = 0
    received_bytes: int = 0


@dataclass(frozen=True)
class FoldRow:
    """One fold of a run; state, cause and message are its newest attempt's."""

    run: str
    fold: str
    position: int
    state: RunState = RunState.QUEUED
    cause: EndCause | None = None
    message: str = ""
    host: str | None = None


@dataclass(frozen=True)
class AttemptRow:
    """One execution of a fold on a host; times as `iso_time` writes them."""

    run: str
    fold: str
    attempt: int
    host: str
    started_at: str
    state: RunState = RunState.QUEUED
    cause: EndCause | None = None
    message: str = ""
    image_digest: str | None = None
    boot_id: str | None = None
    ended_at: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    peak_bytes: int | None = None
    journal_bytes: int = 0

    @property
    def id(self) -> AttemptId:
        """The attempt's name."""
        return AttemptId(self.run, self.fold, self.attempt)


@dataclass(frozen=True)
class HostRow:
    """A host that was used; `facts` is plain JSON, what its daemon said last."""

    name: str
    kind: str
    source: str
    first_used_at: str
    last_used_at: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def columns(cls: type) -> tuple[str, ...]:
    """Return the columns of a row's table, which are the fields of its dataclass."""
    return tuple(f.name for f in dataclasses.fields(cls))


def to_columns(row: Any) -> Json:
    """Turn a row into what SQLite stores: enums as text, lists and mappings as JSON."""
    return {name: _to_sql(getattr(row, name)) for name in columns(type(row))}


def from_columns(cls: type[R], stored: sqlite3.Row) -> R:
    """Read a row of `cls`'s table."""
    values: Json = {name: stored[name] for name in columns(cls)}
    for name in ("hosts", "options", "packages", "facts"):
        if name in values:
            values[name] = json.loads(values[name])
    if "hosts" in values:
        values["hosts"] = tuple(values["hosts"])
    if values.get("git_dirty") is not None:
        values["git_dirty"] = bool(values["git_dirty"])
    if "state" in values:
        values["state"] = RunState(values["state"])
        values["cause"] = EndCause(values["cause"]) if values["cause"] else None
    return cls(**values)


def _to_sql(value: Any) -> Any:
    if isinstance(value, (RunState, EndCause)):
        return value.value
    if isinstance(value, (Mapping, list, tuple)):
        return json.dumps(dict(value) if isinstance(value, Mapping) else list(value))
    return value

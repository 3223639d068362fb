"""``kernelext.runs()``: the history as a data frame."""

from __future__ import annotations

import os
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernelext.errors import OptionError
from kernelext.history import FoldRow, History, RunFilter, RunRow, history_path, iso_time
from kernelext.models import RunState

if TYPE_CHECKING:
    import pandas as pd

TIMES = ("created_at", "ended_at")


def runs(
    *,
    host: str | None = None,
    state: str | None = None,
    text: str | None = None,
    since: str | datetime | timedelta | None = None,
    limit: int | None = None,
) -> pd.DataFrame:
    """Return the runs of the history, the newest first.

    Parameters
    ----------
    host : str, optional
        Only runs that asked for this host, or of which it did a fold.
    state : str, optional
        Only runs in this state: queued, sending, starting, running, done, failed, cancelled,
        lost.
    text : str, optional
        Only runs with this in their title, code, notebook, hosts or id.
    since : str, datetime or timedelta, optional
        Only runs made since: a day or a time as ISO 8601, UTC where it names no zone; a
        timedelta counts back from now.
    limit : int, optional
        At most so many.

    Returns
    -------
    pandas.DataFrame
        One row a run; its id is the index. ``created_at`` and ``ended_at`` are UTC timestamps,
        ``elapsed`` the time between them, until now for a run that has not ended.

    Raises
    ------
    OptionError
        A filter that cannot be, or pandas is not installed.
    HistoryError
        The history cannot be read.
    """
    try:
        import pandas as pd
    except ImportError as exc:
        raise OptionError(
            "kernelext.runs() makes a data frame and pandas is not installed: install pandas,"
            " or see the runs with `%remote runs`"
        ) from exc
    wanted = RunFilter(
        text=text,
        host=host,
        states=None if state is None else (_state(state),),
        since=None if since is None else _moment(since),
        limit=limit,
    )
    rows = []
    path = history_path(os.environ)
    if path.exists():
        with History.open(path) as history:
            rows = [_row(run, history.folds(run.id)) for run in history.find(wanted)]
    frame = pd.DataFrame(rows, columns=list(_row(_NOTHING, []))).set_index("run")
    for name in TIMES:
        moments = pd.to_datetime(frame[name], utc=True, format="ISO8601")
        frame[name] = moments.astype("datetime64[ns, UTC]")  # also where there is none
    now = pd.Timestamp.now(tz="UTC").as_unit("ns")
    frame.insert(8, "elapsed", frame["ended_at"].fillna(now) - frame["created_at"])
    return frame


_NOTHING = RunRow("", "", "", "", "", "", "")


def _row(run: RunRow, folds: list[FoldRow]) -> dict[str, Any]:
    done = Counter(fold.state for fold in folds)[RunState.DONE]
    return {
        "run": run.id,
        "title": run.title,
        "kind": run.kind,
        "hosts": list(run.hosts),
        "state": run.state.value,
        "cause": run.cause.value if run.cause else "",
        "message": run.message,
        "created_at": run.created_at,
        "ended_at": run.ended_at,
        "folds": len(folds),
        "folds_done": done,
        "sent_bytes": run.sent_bytes,
        "received_bytes": run.received_bytes,
        "notebook": Path(run.notebook).name if run.notebook else "",
        "project_dir": run.project_dir,
        "git_commit": run.git_commit or "",
        "git_dirty": run.git_dirty,
        "python": run.python,
        "packages": dict(run.packages),
        "options": dict(run.options),
        "code": run.code,
    }


def _state(name: str) -> RunState:
    try:
        return RunState(name)
    except ValueError as exc:
        known = ", ".join(state.value for state in RunState)
        raise OptionError(f"{name!r} is no state of a run; the states are {known}") from exc


def _moment(since: str | datetime | timedelta) -> str:
    if isinstance(since, timedelta):
        since = datetime.now(UTC) - since
    if isinstance(since, str):
        try:
            since = datetime.fromisoformat(since)
        except ValueError as exc:
            raise OptionError(
                f"{since!r} is no time; write a day as 2026-03-01 or a time as 2026-03-01T14:30"
            ) from exc
    if since.tzinfo is None:
        since = since.replace(tzinfo=UTC)
    return iso_time(since.timestamp())

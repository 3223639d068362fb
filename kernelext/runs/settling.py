"""Writes into the history how an attempt ended, where the one who follows it does not."""

from __future__ import annotations

import time
from pathlib import Path

from kernelext.history import AttemptRow, History
from kernelext.models import JOURNAL_NAME, AttemptEnd, EndCause, RunState

PATIENCE_S = 1.0  # for the follower, which writes it itself if it lives
LOOK_S = 0.05


def settle(history: History, attempt: AttemptRow, end: AttemptEnd, directory: Path) -> AttemptRow:
    """Let the follower write the end that the host confirmed; write it if it does not.

    Parameters
    ----------
    history : History
    attempt : AttemptRow
    end : AttemptEnd
    directory : Path
        The attempt's, at home.

    Returns
    -------
    AttemptRow
        As the history has it now.
    """
    row = _row(history, attempt) if attempt.ended_at else _await_end(history, attempt)
    # One whose results did not come at once ended otherwise here than on its host.
    corrects = end.state is RunState.DONE and row.state is not RunState.DONE
    if row.ended_at is None or row.state is RunState.LOST or corrects:
        journal = directory / JOURNAL_NAME
        size_bytes = journal.stat().st_size if journal.exists() else 0
        history.end_attempt(attempt.id, end, time.time(), size_bytes, corrects=corrects)
    return _row(history, attempt)


def settle_unknown(history: History, attempt: AttemptRow, directory: Path) -> AttemptRow:
    """End an attempt that its host does not know: its follower has taken it, or it is gone.

    One that was still being sent is left alone: only its notebook knows.
    """
    row = _await_end(history, attempt)
    if row.ended_at is None and row.state is not RunState.SENDING:
        end = AttemptEnd(RunState.LOST, EndCause.HOST_LOST, "it no longer knows the run")
        return settle(history, row, end, directory)
    return row


def _await_end(history: History, attempt: AttemptRow) -> AttemptRow:
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        row = _row(history, attempt)
        if row.ended_at is not None or time.monotonic() > deadline_s:
            return row
        time.sleep(LOOK_S)


def _row(history: History, attempt: AttemptRow) -> AttemptRow:
    rows = history.attempts(attempt.run, attempt.fold)
    return next(row for row in rows if row.attempt == attempt.attempt)

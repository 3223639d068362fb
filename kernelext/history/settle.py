"""Keeps folds and runs in step with their attempts, inside the caller's transaction."""

from __future__ import annotations

import sqlite3

from kernelext.history.states import run_state
from kernelext.models import RunState


def settle_fold(db: sqlite3.Connection, run: str, fold: str, at: str) -> None:
    """Give a fold its newest attempt's state, and its run what follows from that."""
    db.execute(
        "UPDATE folds SET (state, cause, message, host) = ("
        " SELECT state, cause, message, host FROM attempts"
        " WHERE run = :run AND fold = :fold ORDER BY attempt DESC LIMIT 1)"
        " WHERE run = :run AND fold = :fold",
        {"run": run, "fold": fold},
    )
    settle_run(db, run, at)


def settle_run(db: sqlite3.Connection, run: str, at: str) -> None:
    """Derive a run's state, cause, message and end from its folds."""
    folds = db.execute(
        "SELECT state, cause, message FROM folds WHERE run = ? ORDER BY position", (run,)
    ).fetchall()
    state = run_state(RunState(fold["state"]) for fold in folds)
    told = next((fold for fold in folds if fold["state"] == state.value), None)
    db.execute(
        "UPDATE runs SET state = :state, cause = :cause, message = :message,"
        " ended_at = CASE WHEN :is_final THEN coalesce(ended_at, :at) END WHERE id = :run",
        {
            "run": run,
            "state": state.value,
            "cause": told["cause"] if told else None,
            "message": told["message"] if told else "",
            "is_final": state.is_final,
            "at": at,
        },
    )

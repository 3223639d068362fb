"""``kernelext.load()``: a value of a past run, from what lies in the user's data folder."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from kernelext.errors import HistoryError
from kernelext.history import AttemptRow, History, RunRow, data_dir, history_path
from kernelext.models import RunState
from kernelext.runs.journal import Account, read_account
from kernelext.values import decode


def load(run: str, name: str, *, fold: int | str | None = None) -> Any:
    """Return a value that a past run bound, from this machine's disk alone.

    Pickles are loaded: asking for a value by its name is asking for that.

    Parameters
    ----------
    run : str
        A run's id, the beginning of it, its name, or ``last``.
    name : str
        The variable.
    fold : int or str, optional
        Of a ``%%folds`` run: only this fold's value.

    Returns
    -------
    object
        The value; of a ``%%folds`` run a dict of fold -> value of the folds that have it.

    Raises
    ------
    HistoryError
        No such run, fold or value, or its bytes are not at home; the message has the next step.
    ValueCodecError
        The bytes cannot be read here.
    """
    path = history_path(os.environ)
    if not path.exists():
        raise HistoryError("The history is empty: nothing has run yet.")
    with History.open(path) as history:
        row = history.run(run)
        attempts = newest_attempts(history, row, fold)
    return load_value(data_dir(os.environ) / "runs", row, attempts, name, whole=fold is None)


def newest_attempts(
    history: History, row: RunRow, fold: int | str | None = None
) -> list[AttemptRow]:
    """Return the newest attempt of every fold of a run, or of one.

    Raises
    ------
    HistoryError
        The run has no such fold, or has never been on a host.
    """
    attempts = {each.fold: each for each in history.attempts(row.id)}
    if fold is not None and str(fold) not in attempts:
        known = ", ".join(each.fold for each in history.folds(row.id))
        raise HistoryError(f"the run {row.id} has no fold {fold}; its folds are {known}")
    if not attempts:
        told = f" ({row.message})" if row.message else ""
        raise HistoryError(f"the run {row.id} never came to a host{told}: it has left nothing")
    return [attempts[str(fold)]] if fold is not None else list(attempts.values())


def attempt_dir(runs_dir: Path, attempt: AttemptRow) -> Path:
    """Return where an attempt lies at home."""
    return runs_dir / attempt.run / attempt.fold / str(attempt.attempt)


def load_value(
    runs_dir: Path,
    row: RunRow,
    attempts: list[AttemptRow],
    name: str,
    *,
    whole: bool,
    mistrusted: Collection[str] = (),
) -> Any:
    """Return a run's value: of a ``%%folds`` run and where `whole`, a dict fold -> value.

    Parameters
    ----------
    mistrusted : collection of str
        Hosts whose pickles are not to be loaded.

    Raises
    ------
    HistoryError, ValueCodecError
    """
    accounts = {each: read_account(attempt_dir(runs_dir, each)) for each in attempts}
    found = {
        attempt.fold: _decode(account, name, attempt.host not in mistrusted)
        for attempt, account in accounts.items()
        if attempt.state is RunState.DONE and name in account.values()
    }
    if not found:
        raise HistoryError(_absent(row, accounts, name))
    if row.kind == "folds" and whole:
        return {int(each): value for each, value in found.items()}
    return next(iter(found.values()))


def _decode(account: Account, name: str, loads_pickles: bool) -> Any:
    return _Decoded(account, loads_pickles)[name]


class _Decoded(dict[str, Any]):
    """The values of one attempt, decoded when they are asked for, by the user or by another."""

    def __init__(self, account: Account, loads_pickles: bool) -> None:
        super().__init__()
        self._values = account.values()
        self._loads_pickles = loads_pickles

    def __missing__(self, name: str) -> Any:
        stored = self._values[name]
        # A notebook's namespace: functions that were defined in one find their globals there.
        namespace = vars(sys.modules["__main__"])
        return decode(
            stored.ref, stored.source, namespace, loads_pickles=self._loads_pickles, together=self
        )


def _absent(row: RunRow, accounts: dict[AttemptRow, Account], name: str) -> str:
    """Say why a value is not there and what to do."""
    for attempt, account in accounts.items():
        if name in account.left:
            return f"{name} has stayed on {attempt.host}: {account.left[name]}"
        if name in account.names and attempt.state is RunState.DONE:
            return (
                f"the bytes of {name} are not at home (removed by `gc`, or never brought):"
                f" `kernelext fetch {row.id}` asks {attempt.host} for them, else run the cell again"
            )
    if not row.state.is_final:
        return (
            f"the run {row.id} is {row.state.value}, as far as is known here; if its notebook has"
            f" gone, `kernelext fetch {row.id}` asks its host"
        )
    if row.state is not RunState.DONE and not any(a.state is RunState.DONE for a in accounts):
        cause = f" ({row.cause.value})" if row.cause else ""
        return f"the run {row.id} has {row.state.value}{cause}: it has bound nothing"
    known = sorted({each for account in accounts.values() for each in account.names})
    if not known:
        return f"the run {row.id} has left no values: its cell bound none, or --out left them there"
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? It" if near else "it"
    return f"the run {row.id} has bound no {name}: {hint} has {', '.join(known)}"

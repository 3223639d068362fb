"""``fetch``: brings home what the hosts still have of a run."""

from __future__ import annotations

import argparse
import functools
from pathlib import Path

from kernelext.errors import (
    DaemonError,
    HostError,
    KernelExtError,
    PickleKept,
    UnknownHost,
)
from kernelext.history import AttemptRow, RunRow
from kernelext.hosts.sizes import size_text
from kernelext.models import RunState
from kernelext.runs.filenotes import FileNotes
from kernelext.runs.homecoming import Homecoming
from kernelext.runs.journal import Account, read_account
from kernelext.runs.keeping import kept_text
from kernelext.runs.recovering import Recovered, recover
from kernelext.runs.settling import settle, settle_unknown
from kernelext.runs.unfetched import is_unfetched, noted_baseline
from kernelext.verbs.context import Context
from kernelext.verbs.load import attempt_dir, load_value, newest_attempts

HELP = "bring home the output and the results of a run that its host still has"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the options."""
    parser.add_argument("run", metavar="RUN", help="an id, the beginning of one, a name, or last")
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="only these results; in a notebook they are bound too",
    )
    parser.add_argument("--fold", metavar="FOLD", help="only this fold")


def run(context: Context, options: argparse.Namespace) -> str:
    """Return a line a fold: what came, or why nothing did.

    Raises
    ------
    HistoryError
        No such run, fold or result.
    HostError
        Some host cannot be asked; the message has all lines.
    """
    row = context.history.run(options.run)
    attempts = newest_attempts(context.history, row, options.fold)
    names = tuple(name for word in options.names for name in word.split(",") if name)
    lines: list[str] = []
    failed = False
    for host in dict.fromkeys(attempt.host for attempt in attempts):
        mine = [attempt for attempt in attempts if attempt.host == host]
        lines += [
            f"{_name(each)}: all of it is at home" for each in mine if _is_home(context, each)
        ]
        missing = [each for each in mine if not _is_home(context, each)]
        try:
            lines += _fetch(context, host, missing, names) if missing else []
        except (KernelExtError, TimeoutError) as exc:
            lines.append(f"{host}: {exc}")
            failed = True
    if failed:
        raise HostError("\n".join(lines))
    lines += _bind(context, context.history.run(row.id), options.fold, names)
    return "\n".join(lines)


def _is_home(context: Context, attempt: AttemptRow) -> bool:
    account = _account(context, attempt)
    if attempt.ended_at is None or account.end is None:
        return False
    if is_unfetched(attempt_dir(context.runs_dir, attempt)):
        return False
    if account.end.state is not RunState.DONE:
        return True
    return attempt.state is RunState.DONE and not account.absent_values()


def _account(context: Context, attempt: AttemptRow) -> Account:
    return read_account(attempt_dir(context.runs_dir, attempt))


def _fetch(
    context: Context, host: str, attempts: list[AttemptRow], names: tuple[str, ...]
) -> list[str]:
    lines = []
    notes = FileNotes("Here already, and not as the cell found it")
    with context.links.separate(context.host(host)) as link:
        for attempt in attempts:
            directory = attempt_dir(context.runs_dir, attempt)
            home = None if names else _homecoming(context, attempt, notes)
            try:
                came = recover(link, attempt.id, directory, names, home)
            except DaemonError as exc:
                row = settle_unknown(context.history, attempt, directory)
                lines.append(f"{_name(attempt)}: {_unknown(row, exc)}")
                continue
            if came.end is not None:
                settle(context.history, attempt, came.end, directory)
            if not names and home is None and is_unfetched(directory):
                notes.say(f"Its project's folder is not here any more: its files stay on {host}")
            # One without an end here may have its notebook, which brings the same.
            if came.is_whole and attempt.ended_at is not None:
                link.release(attempt.id)
            lines.append(f"{_name(attempt)} from {host}: {_told(came)}")
    return lines + notes.sentences()


def _homecoming(context: Context, attempt: AttemptRow, notes: FileNotes) -> Homecoming | None:
    """Make what puts the files of an attempt into its project; None where that has gone."""
    root = Path(context.history.run(attempt.run).project_dir)
    if not root.is_absolute() or not root.is_dir():
        return None
    baseline = noted_baseline(attempt_dir(context.runs_dir, attempt), root)
    folds = [each.fold for each in context.history.folds(attempt.run)]
    return Homecoming(baseline, None, folds, notes)


def _unknown(attempt: AttemptRow, reason: DaemonError) -> str:
    """Say why a host has nothing, from what the history knows."""
    if attempt.ended_at is None:
        return (
            f"{attempt.host} does not have it: its notebook still sends it, or has died before it"
            " could"
        )
    if attempt.state is RunState.LOST:
        return f"{attempt.host} has nothing of it any more ({reason}); run the cell again"
    return (
        f"{attempt.host} has nothing of it any more: its notebook had taken what it wanted, or"
        " `gc` has removed it; what is at home is all there is"
    )


def _told(came: Recovered) -> str:
    things = [f"{size_text(came.output_bytes)} of output"] if came.output_bytes else []
    things += [f"{ref.name} ({size_text(ref.stored_bytes)})" for ref in came.values]
    if came.files:
        things.append(f"{came.files} file{'s' if came.files > 1 else ''}")
    brought = ", ".join(things) or "nothing new"
    if came.end is None:
        return f"{brought}; it is {came.state.value} there, fetch again when it has ended"
    return f"{brought}; it has ended: {came.state.value}"


def _bind(context: Context, row: RunRow, fold: str | None, names: tuple[str, ...]) -> list[str]:
    """Bind the names that were asked for, where there is a notebook to bind them in.

    Raises
    ------
    HistoryError
        The run has no such result, or it is not at home.
    """
    attempts = newest_attempts(context.history, row, fold)
    mistrusted = _mistrusted(context, attempts) if names else set()
    load = functools.partial(
        load_value, context.runs_dir, row, attempts, whole=fold is None, mistrusted=mistrusted
    )
    held = {name for attempt in attempts for name in _account(context, attempt).values()}
    bound, lines = [], []
    for name in names:
        if context.namespace is None:
            if name not in held:
                load(name)  # which says why it is not there
            continue
        try:
            context.namespace[name] = load(name)
        except PickleKept:
            lines += _kept(context, attempts, name, mistrusted)
        else:
            bound.append(name)
    return [*lines, f"bound here: {', '.join(bound)}"] if bound else lines


def _mistrusted(context: Context, attempts: list[AttemptRow]) -> set[str]:
    """List the hosts whose pickles stay on disk; one that the user's file forgot is among them."""
    found = set()
    for host in {attempt.host for attempt in attempts}:
        try:
            if not context.host(host).loads_pickles:
                found.add(host)
        except UnknownHost:
            found.add(host)
    return found


def _kept(
    context: Context, attempts: list[AttemptRow], name: str, mistrusted: set[str]
) -> list[str]:
    mine = [attempt for attempt in attempts if attempt.host in mistrusted]
    held = {attempt: _account(context, attempt).values().get(name) for attempt in mine}
    return [kept_text(each.ref, at.host, at.id) for at, each in held.items() if each is not None]


def _name(attempt: AttemptRow) -> str:
    return f"{attempt.run} fold {attempt.fold}"

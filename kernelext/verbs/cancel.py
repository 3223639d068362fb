"""``cancel``: ends a run, from wherever."""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor

from kernelext.errors import DaemonError, HistoryError, HostError, KernelExtError
from kernelext.history import AttemptRow, RunRow
from kernelext.hosts import parse_duration_s
from kernelext.models import AttemptEnd, RunState
from kernelext.runs.cancelling import Outcome, stop_attempts
from kernelext.runs.settling import settle, settle_unknown
from kernelext.verbs.context import Context
from kernelext.verbs.load import attempt_dir, newest_attempts

HELP = "end a run: interrupt it, kill it if that does not help, and show what its host confirmed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the options."""
    parser.add_argument(
        "run",
        nargs="?",
        metavar="RUN",
        help="an id, the beginning of one, a name or last; without it the one that runs",
    )
    parser.add_argument("--fold", metavar="FOLD", help="only this fold")
    parser.add_argument("--all", action="store_true", help="every run that has not ended")
    parser.add_argument("--kill", action="store_true", help="do not interrupt first")
    parser.add_argument(
        "--grace",
        metavar="TIME",
        default="5s",
        help="from the interrupt to the kill (5s)",
    )


def run(context: Context, options: argparse.Namespace) -> str:
    """Return a line a fold: the state that its host confirmed.

    Raises
    ------
    HistoryError
        No such run or fold, or none to choose.
    HostError
        Some host has not confirmed; the message has all lines.
    """
    grace_s = 0.0 if options.kill else parse_duration_s(options.grace)
    rows = _chosen(context, options)
    lines: list[str] = []
    wanted: dict[str, list[AttemptRow]] = {}
    for row in rows:
        if row.state.is_final:
            lines.append(f"{row.id} has ended already: {_state(row)}")
            continue
        if not context.history.attempts(row.id):
            lines.append(f"{row.id} has not come to a host: interrupt it in its notebook")
            continue
        for attempt in newest_attempts(context.history, row, options.fold):
            if attempt.state.is_final:
                lines.append(f"{_name(attempt)} has ended already: {_state(attempt)}")
            else:
                wanted.setdefault(attempt.host, []).append(attempt)
    is_confirmed = True
    with ThreadPoolExecutor(max(1, len(wanted))) as pool:
        work = [pool.submit(_stop, context, *each, grace_s) for each in wanted.items()]
        for done in work:
            found, is_sure = done.result()
            lines += found
            is_confirmed = is_confirmed and is_sure
    text = "\n".join(lines) or "Nothing runs."
    if not is_confirmed:
        raise HostError(text)
    return text


def _chosen(context: Context, options: argparse.Namespace) -> list[RunRow]:
    if options.run is not None and not options.all:
        return [context.history.run(options.run)]
    unfinished = context.history.unfinished()
    if options.all or len(unfinished) < 2:
        return unfinished
    listed = ", ".join(f"{row.id} ({row.title})" for row in unfinished[:5])
    raise HistoryError(
        f"{len(unfinished)} runs have not ended: {listed}; name one, or end them by --all"
    )


def _stop(
    context: Context, name: str, attempts: list[AttemptRow], grace_s: float
) -> tuple[list[str], bool]:
    """End attempts of one host; a line each, and whether all is confirmed."""
    by_id = {attempt.id: attempt for attempt in attempts}
    try:
        with context.links.separate(context.host(name)) as link:
            outcomes = stop_attempts(link, list(by_id), grace_s=grace_s)
    except (KernelExtError, TimeoutError) as exc:
        lines = [f"{_name(each)} is not known to have ended: {exc}" for each in attempts]
        return lines, False
    told = [_told(context, by_id[each], outcome) for each, outcome in outcomes.items()]
    return [line for line, _ in told], all(is_sure for _, is_sure in told)


def _told(context: Context, attempt: AttemptRow, outcome: Outcome) -> tuple[str, bool]:
    directory = attempt_dir(context.runs_dir, attempt)
    name = _name(attempt)
    if outcome is None:
        return f"{name} has been killed, but {attempt.host} has not confirmed its end", False
    if not isinstance(outcome, DaemonError):
        settle(context.history, attempt, outcome, directory)
        return f"{name}: {_state(outcome)}, as {attempt.host} confirmed", True
    row = settle_unknown(context.history, attempt, directory)
    if row.ended_at is None:
        return (
            f"{name} has not come to {attempt.host}: its notebook still sends it, or has died"
            " before it could; interrupt it there",
            False,
        )
    if row.state is RunState.LOST:
        return f"{name} is lost: {attempt.host} no longer knows it", True
    return f"{name} had ended before: {_state(row)}", True


def _name(attempt: AttemptRow) -> str:
    return f"{attempt.run} fold {attempt.fold}"


def _state(row: RunRow | AttemptRow | AttemptEnd) -> str:
    state, cause = row.state.value, row.cause
    return f"{state} ({cause.value})" if cause else state

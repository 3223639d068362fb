"""``logs``: what a run printed, from its journal at home."""

from __future__ import annotations

import argparse

from kernelext.errors import HistoryError
from kernelext.events import Event
from kernelext.models import JOURNAL_NAME
from kernelext.runs.journal import read_journal
from kernelext.verbs.context import Context

HELP = "show what a run printed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the options."""
    parser.add_argument(
        "run", nargs="?", default="last", metavar="RUN", help="an id, the beginning of one, or last"
    )
    parser.add_argument("--fold", metavar="FOLD", help="only this fold")
    parser.add_argument("--tail", type=int, metavar="N", help="only the last N lines of each")


def run(context: Context, options: argparse.Namespace) -> str:
    """Return the text, fold by fold, a divider between attempts.

    Raises
    ------
    HistoryError
        No such run or fold.
    """
    row = context.history.run(options.run)
    attempts = context.history.attempts(row.id, options.fold)
    if options.fold is not None and not attempts:
        raise HistoryError(f"the run {row.id} has no fold {options.fold}")
    parts = []
    for attempt in attempts:
        path = context.runs_dir / row.id / attempt.fold / str(attempt.attempt) / JOURNAL_NAME
        if len(attempts) > 1:
            parts.append(f"── fold {attempt.fold} on {attempt.host}: {attempt.state.value} ──\n")
        text = "".join(_text(event) for event in read_journal(path))
        if options.tail is not None:
            text = "".join(text.splitlines(keepends=True)[-options.tail :]) if options.tail else ""
        parts.append(text if text.endswith("\n") or not text else text + "\n")
    return "".join(parts).rstrip("\n")


def _text(event: Event) -> str:
    if event.kind == "stream":
        return event.body.decode("utf-8", "replace")
    if event.kind in ("result", "display", "update_display"):
        return str(event.content().get("data", {}).get("text/plain", "")) + "\n"
    if event.kind == "error":
        return "\n".join(str(line) for line in event.content().get("traceback", ())) + "\n"
    return ""

"""``runs``: what ran, newest first."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from kernelext.history import RunFilter, RunRow
from kernelext.models import RunState
from kernelext.verbs.context import Context
from kernelext.verbs.table import text_table

HELP = "list the runs, newest first"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the options."""
    parser.add_argument("text", nargs="?", metavar="TEXT", help="only runs with this in them")
    parser.add_argument("--host", metavar="HOST", help="only runs of this host")
    parser.add_argument(
        "--state", choices=[state.value for state in RunState], help="only runs in this state"
    )
    parser.add_argument("--limit", type=int, default=20, metavar="N", help="at most so many (20)")


def run(context: Context, options: argparse.Namespace) -> str:
    """Return the table."""
    states = (RunState(options.state),) if options.state else None
    wanted = RunFilter(options.text, options.host, states, limit=options.limit)
    found = context.history.find(wanted)
    if not found and (options.text or options.host or states):
        return "No run is like that; `runs` without options lists all."
    if not found:
        return "No runs yet: write %%remote in a cell's first line."
    rows = []
    for row in found:
        cause = f" ({row.cause.value})" if row.cause else ""
        started = row.created_at[:19].replace("T", " ")
        rows.append(
            [
                row.id,
                row.state.value + cause,
                ",".join(row.hosts),
                started,
                _elapsed(row),
                row.title,
            ]
        )
    return text_table(["RUN", "STATE", "HOSTS", "STARTED (UTC)", "TIME", "TITLE"], rows)


def _elapsed(row: RunRow) -> str:
    end = datetime.fromisoformat(row.ended_at) if row.ended_at else datetime.now(UTC)
    seconds = (end - datetime.fromisoformat(row.created_at)).total_seconds()
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d} min"

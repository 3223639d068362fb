"""Watches a run to its end; Ctrl-C goes to the host, and nothing drawn is lost by it."""

from __future__ import annotations

import signal
import sys
import threading
from typing import Protocol

from kernelext.runs import Run, Update

GIVE_UP = 3


class Drawer(Protocol):
    """What shows a run."""

    def draw(self, update: Update) -> None:
        """Show one update."""

    def finish(self) -> None:
        """Show the end."""


def run_interruptible(run: Run, drawer: Drawer) -> None:
    """Start a run and draw it until it has ended.

    The first SIGINT interrupts the remote cell, the second kills it, the third leaves it
    to its host.

    Raises
    ------
    KeyboardInterrupt
        At the third, or at the first before anything was sent.
    KernelExtError
        When it cannot be started.
    """
    stops = 0

    def interrupt(*_: object) -> None:
        nonlocal stops
        stops += 1
        if stops >= GIVE_UP:
            raise KeyboardInterrupt(
                "left: the host has not confirmed that the cell has ended; as long as this kernel"
                " lives, it is told to as soon as it answers"
            )
        run.interrupt()
        # os.write would tear a line of the cell: the word goes with the other output.
        print(_word(run.unreachable, is_first=stops == 1), file=sys.stderr)  # noqa: T201

    is_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, interrupt) if is_main else None
    try:
        run.start()
        try:
            for update in run.updates():
                drawer.draw(update)
        finally:
            drawer.finish()
    finally:
        if is_main:
            signal.signal(signal.SIGINT, before)


def _word(unreachable: list[str], *, is_first: bool) -> str:
    if not unreachable:
        return "interrupting the cell on its host…" if is_first else "killing the cell on its host…"
    hosts = ", ".join(unreachable)
    done = "interrupted" if is_first else "killed"
    return f"the cell will be {done} when {hosts} answers again; a third interrupt leaves it there"

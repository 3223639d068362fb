"""Presses Ctrl-C in a notebook once a cell has shown something."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable

TIMEOUT_S = 60.0
LOOK_S = 0.01


def printed(text: str) -> Callable[[], bool]:
    """Whether the running cell has printed `text`, as the notebook shows it."""

    def has_printed() -> bool:
        shown = getattr(sys.stdout, "getvalue", str)()
        return text in shown

    return has_printed


def told(text: str) -> Callable[[], bool]:
    """Whether the notebook has told the user `text` on its standard error."""
    return lambda: text in getattr(sys.stderr, "getvalue", str)()


class CtrlC:
    """Sends SIGINT to this process each time the next of some conditions comes true.

    Use it as a context manager around the cell.

    Parameters
    ----------
    *conditions : callable
        Asked in a thread.
    """

    def __init__(self, *conditions: Callable[[], bool]) -> None:
        self._conditions = conditions
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._press, daemon=True)
        self.pressed = 0

    def __enter__(self) -> CtrlC:
        """Begin to look."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look no more; every condition must have come true."""
        self._ended.set()
        self._thread.join()
        assert self.pressed == len(self._conditions), "the cell ended before it was interrupted"

    def _press(self) -> None:
        deadline_s = time.monotonic() + TIMEOUT_S
        for is_time in self._conditions:
            while not is_time():
                if self._ended.wait(LOOK_S) or time.monotonic() > deadline_s:
                    return
            self.pressed += 1
            os.kill(os.getpid(), signal.SIGINT)

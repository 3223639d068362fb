"""A line that says what is being done, and goes when it is."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType

REDRAW_S = 0.1
CLEAR = "\r\x1b[K"  # ECMA-48: to the line's beginning, and erase it


def console_line() -> Callable[[str], None]:
    """Return what shows a line on standard error over its last one, where that is a terminal."""

    def show(text: str) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"{CLEAR}{text}")
            sys.stderr.flush()

    return show


class ProgressLine:
    """Steps, one over the other.

    Parameters
    ----------
    host : str
        What the line begins with.
    show : callable
        Shows a line in place of the last one.
    """

    def __init__(self, host: str, show: Callable[[str], None]) -> None:
        self._host = host
        self._show = show
        self._newest = ""
        self._drawn = ""
        self._drawn_s = -REDRAW_S
        self._lock = threading.Lock()
        self._later: threading.Timer | None = None

    def __enter__(self) -> ProgressLine:
        """Show nothing yet."""
        return self

    def show(self, step: str) -> None:
        """Show a step, at most ten times a second: of several the newest, which may last."""
        with self._lock:
            self._newest = step
            if self._later is None:
                wait_s = self._drawn_s + REDRAW_S - time.monotonic()
                if wait_s <= 0:
                    self._draw()
                elif step != self._drawn:
                    self._later = threading.Timer(wait_s, self._draw_later)
                    self._later.start()

    def _draw_later(self) -> None:
        with self._lock:
            if self._later is not None:  # else the line is gone
                self._later = None
                self._draw()

    def _draw(self) -> None:
        if self._newest != self._drawn:
            self._drawn, self._drawn_s = self._newest, time.monotonic()
            self._show(f"{self._host}: {self._newest}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take the line away."""
        with self._lock:
            if self._later is not None:
                self._later.cancel()
                self._later = None
            if self._drawn:
                self._show("")

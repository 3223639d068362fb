"""A line that says what is being done, and goes when it is."""

from __future__ import annotations

import sys
import time
from types import TracebackType

REDRAW_S = 0.1
CLEAR = "\r\x1b[K"  # ECMA-48: to the line's beginning, and erase it


class ProgressLine:
    """Steps on standard error, one over the other.

    Parameters
    ----------
    host : str
        What the line begins with.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._said = ""
        self._drawn_s = 0.0

    def __enter__(self) -> ProgressLine:
        """Show nothing yet."""
        return self

    def show(self, step: str) -> None:
        """Show a step, where it is another one, at most ten times a second."""
        if step != self._said and time.monotonic() - self._drawn_s > REDRAW_S:
            self._said, self._drawn_s = step, time.monotonic()
            sys.stderr.write(f"{CLEAR}{self._host}: {step}")
            sys.stderr.flush()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take the line away."""
        if self._said:
            sys.stderr.write(CLEAR)
            sys.stderr.flush()

"""A remote exception as the content of an ``error`` event."""

from __future__ import annotations

import traceback
from types import TracebackType
from typing import Any

RUNNER_FILES = ("/kernelext/runner/", "/kernelext/values/")


def failure_content(error: BaseException, lines: list[str] | None = None) -> dict[str, Any]:
    """Describe an exception: name, text, traceback lines, class lineage.

    Parameters
    ----------
    error : BaseException
    lines : list of str, optional
        A traceback that IPython has formatted already.
    """
    if lines is None:
        error.__traceback__ = _own_frames(error.__traceback__)
        report = traceback.TracebackException.from_exception(error)
        lines = [line for part in report.format() for line in part.rstrip("\n").split("\n")]
    return {
        "ename": type(error).__name__,
        "evalue": _text(error),
        "traceback": lines,
        "lineage": [f"{c.__module__}.{c.__qualname__}" for c in type(error).__mro__[:-1]],
    }


def _own_frames(trace: TracebackType | None) -> TracebackType | None:
    """Skip the runner's frames: the first line shown is the cell's."""
    while trace is not None and any(
        part in trace.tb_frame.f_code.co_filename for part in RUNNER_FILES
    ):
        trace = trace.tb_next
    return trace


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:  # an exception of the cell may have a broken __str__
        return f"<its text raised {type(broken).__name__}>"

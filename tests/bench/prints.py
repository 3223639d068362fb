"""From a print in the cell to the notebook: the cell prints the time, the notebook looks."""

from __future__ import annotations

import contextlib
import io
import time

from .report import Row, Section
from .scene import Scene
from .timing import Sample

HOST = "host01"
COUNT = 400
P50_LIMIT_MS = 5.0
P99_LIMIT_MS = 30.0
PACES_S = (0.010, 0.050)


class Arrivals(io.TextIOBase):
    """A standard output that notes when each line arrives."""

    def __init__(self) -> None:
        self.delays_s: list[float] = []

    def write(self, text: str) -> int:
        """Compare every line, which is a time, with now: both sides have one clock here."""
        now = time.time()
        self.delays_s += [now - float(line) for line in text.split("\n") if line]
        return len(text)


def measure(scene: Scene) -> Section:
    """Print at two paces."""
    scene.enter_project(100)
    rows = []
    for pace_s in PACES_S:
        scene.settle()
        count = int(COUNT * PACES_S[0] / pace_s) if pace_s > PACES_S[0] else COUNT
        sample = _print(scene, count, pace_s)
        what = f"{pace_s * 1000:.0f} ms apart"
        note = f"p99 {sample.percentile(99) * 1000:.1f} ms (at most {P99_LIMIT_MS:g})"
        rows.append(Row(what, sample, note=note, at_most=P50_LIMIT_MS))
    return Section("7. From print to the notebook's standard output", rows)


def _print(scene: Scene, count: int, pace_s: float) -> Sample:
    cell = (
        f"%%remote {HOST}\nimport time\nfor _ in range({count}):\n"
        f"    print(time.time())\n    time.sleep({pace_s})"
    )
    arrivals = Arrivals()
    with contextlib.redirect_stdout(arrivals):
        outcome = scene.notebook.shell.run_cell(cell)
    outcome.raise_error()
    assert len(arrivals.delays_s) == count
    return Sample(tuple(arrivals.delays_s))

"""The table of a fan-out: a row a fold, updated in place."""

from __future__ import annotations

import html
import sys
import time
from dataclasses import dataclass, field

from IPython.display import DisplayHandle, display

from kernelext.models import RunState
from kernelext.runs import FoldEnded, FoldEvent, FoldState, HostSaid, Run, Update
from kernelext.verbs.table import text_table

PREPOSITIONS = {"sending": "to", "fetching": "from", "image:": "for"}
REFRESH_S = 0.1
TABLE_HEAD = ("fold", "host", "state", "elapsed", "last line")
LINE_LENGTH = 80
SYMBOLS = {
    RunState.QUEUED: "·",
    RunState.SENDING: "↑",
    RunState.STARTING: "…",
    RunState.RUNNING: "▶",
    RunState.DONE: "✔",
    RunState.FAILED: "✖",
    RunState.CANCELLED: "■",
    RunState.LOST: "?",
}


@dataclass
class FoldRow:
    """What is known of a fold."""

    fold: str
    host: str = ""
    state: RunState = RunState.QUEUED
    cause: str = ""
    started_s: float | None = None
    ended_s: float | None = None
    last_line: str = ""
    _open_line: bytearray = field(default_factory=bytearray)

    def take_output(self, data: bytes) -> None:
        """Keep the last line that is not empty; a carriage return begins it anew."""
        self._open_line += data
        if len(self._open_line) > 4096:
            del self._open_line[:-4096]
        lines = self._open_line.replace(b"\r", b"\n").split(b"\n")
        filled = [line for line in lines if line.strip()]
        if filled:
            self.last_line = filled[-1].decode("utf-8", "replace").strip()[:LINE_LENGTH]

    def elapsed(self, now_s: float) -> str:
        """Return the time since it runs, until its end."""
        if self.started_s is None:
            return ""
        seconds = (self.ended_s or now_s) - self.started_s
        return f"{seconds:.1f} s" if seconds < 60 else f"{seconds // 60:.0f}:{seconds % 60:02.0f}"


class FoldGrid:
    """Draws a run of several folds.

    Parameters
    ----------
    run : Run
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._rows = {fold: FoldRow(fold) for fold in run.plan.folds}
        self._trouble: dict[str, tuple[str, float]] = {}
        self._sending: dict[str, tuple[str, str]] = {}
        self._drawn_s = 0.0
        self._handle: DisplayHandle | None = None
        # In place where the front end can: a terminal shows the end only.
        self._is_live = "ipykernel" in sys.modules

    def draw(self, update: Update) -> None:
        """Take one update; the table follows at most ten times a second."""
        if isinstance(update, FoldEvent):
            row = self._rows[update.fold]
            if update.event.kind == "stream":
                row.take_output(update.event.body)
            elif update.event.kind in ("display", "result"):
                text = str(update.event.content().get("data", {}).get("text/plain", ""))
                row.take_output(b"\n" + text.encode() + b"\n")
        elif isinstance(update, FoldState):
            self._take_state(self._rows[update.fold], update)
        elif isinstance(update, FoldEnded):
            self._take_end(update)
        elif isinstance(update, HostSaid) and update.word == "note":
            sys.stderr.write(f"{update.host}: {update.detail}\n")
        elif isinstance(update, HostSaid):
            self._take_word(update)
        if time.monotonic() - self._drawn_s >= REFRESH_S and self._is_live:
            self._show()

    def finish(self) -> None:
        """Show the end."""
        self._is_live = True
        self._show()

    def _take_state(self, row: FoldRow, update: FoldState) -> None:
        row.host, row.state = update.host, update.state
        if update.state is not RunState.SENDING:
            self._sending.pop(update.host, None)
        if update.state is RunState.RUNNING:
            row.started_s = row.started_s or time.monotonic()

    def _take_end(self, update: FoldEnded) -> None:
        result = update.result
        self._sending.pop(result.host, None)
        row = self._rows[result.attempt.fold]
        row.host, row.state, row.ended_s = result.host, result.end.state, time.monotonic()
        row.cause = result.end.cause.value if result.end.cause else ""
        if result.failure:
            row.last_line = f"{result.failure.get('ename')}: {result.failure.get('evalue')}"
            row.last_line = row.last_line.splitlines()[0][:LINE_LENGTH]
        elif result.end.state is not RunState.DONE and result.end.message:
            row.last_line = result.end.message[:LINE_LENGTH]

    def _take_word(self, update: HostSaid) -> None:
        if update.word == "reachable":
            self._trouble.pop(update.host, None)
        elif update.word in PREPOSITIONS:
            self._sending[update.host] = update.word, update.detail
        elif update.word == "note":
            sys.stderr.write(f"{update.detail}\n")
        else:
            words = f"{update.word} {update.detail}".strip()
            self._trouble[update.host] = words, time.monotonic()

    def _cells(self) -> list[list[str]]:
        now_s = time.monotonic()
        cells = []
        for row in self._rows.values():
            state = f"{SYMBOLS[row.state]} {row.state.value}"
            if row.cause:
                state += f" ({row.cause})"
            cells.append([row.fold, row.host, state, row.elapsed(now_s), row.last_line])
        return cells

    def _notes(self) -> list[str]:
        now_s = time.monotonic()
        sending = [
            f"{word} {detail} {PREPOSITIONS[word]} {host}"
            for host, (word, detail) in self._sending.items()
        ]
        return sending + [
            f"{host} is {words}" + (f" for {now_s - since:.0f} s" if words == "unreachable" else "")
            for host, (words, since) in self._trouble.items()
        ]

    def _show(self) -> None:
        if not self._is_live:
            return
        self._drawn_s = time.monotonic()
        notes = self._notes()
        plain = "\n".join([text_table(TABLE_HEAD, self._cells()), *notes])
        data = {"text/plain": plain, "text/html": self._html(notes)}
        if self._handle is None:
            self._handle = display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)

    def _html(self, notes: list[str]) -> str:
        head = "".join(f'<th style="text-align:left">{each}</th>' for each in TABLE_HEAD)
        style = 'style="text-align:left;font-variant-numeric:tabular-nums"'
        rows = "".join(
            "<tr>" + "".join(f"<td {style}>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self._cells()
        )
        below = "".join(f"<div>⚠ {html.escape(note)}</div>" for note in notes)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{below}"

"""The line that says what is being done."""

from __future__ import annotations

import io
import sys
import threading

import pytest

from kernelext.verbs.progress import CLEAR, ProgressLine, console_line

SHOWN_S = 5.0


class Screen:
    """Keeps what is shown, and says when a text is."""

    def __init__(self, awaited: str) -> None:
        self.shown: list[str] = []
        self.is_shown = threading.Event()
        self._awaited = awaited

    def show(self, text: str) -> None:
        """Show a line."""
        self.shown.append(text)
        if self._awaited in text:
            self.is_shown.set()


def test_newest_step_of_a_burst_is_shown() -> None:
    screen = Screen("step 99")
    with ProgressLine("host01", screen.show) as line:
        for number in range(100):
            line.show(f"step {number}")
        assert screen.is_shown.wait(SHOWN_S), "the step that lasts is not shown"
        line.show("step 99")
    assert screen.shown == ["host01: step 0", "host01: step 99", ""]


def test_nothing_comes_after_the_end() -> None:
    screen = Screen("two")
    before = threading.active_count()
    with ProgressLine("host01", screen.show) as line:
        line.show("one")
        line.show("two")
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join()
    assert threading.active_count() == before
    assert screen.shown == ["host01: one", ""]


@pytest.mark.parametrize(
    ("is_terminal", "said"), [(True, f"{CLEAR}one{CLEAR}two{CLEAR}"), (False, "")]
)
def test_console_shows_lines_on_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, said: str
) -> None:
    stream = io.StringIO()
    stream.isatty = lambda: is_terminal  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", stream)
    show = console_line()
    for text in ("one", "two", ""):
        show(text)
    assert stream.getvalue() == said

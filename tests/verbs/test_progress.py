"""The line that says what is being done."""

from __future__ import annotations

import io
import sys
import threading

import pytest

from kernelext.verbs.progress import CLEAR, ProgressLine

SHOWN_S = 5.0


class Screen(io.StringIO):
    """A standard error that says when a text is shown."""

    def __init__(self, awaited: str) -> None:
        super().__init__()
        self.is_shown = threading.Event()
        self._awaited = awaited

    def write(self, text: str) -> int:
        """Write, and look at it."""
        if self._awaited in text:
            self.is_shown.set()
        return super().write(text)


def test_newest_step_of_a_burst_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen("step 99")
    monkeypatch.setattr(sys, "stderr", screen)
    with ProgressLine("host01") as line:
        for number in range(100):
            line.show(f"step {number}")
        assert screen.is_shown.wait(SHOWN_S), "the step that lasts is not shown"
        line.show("step 99")
    assert screen.getvalue() == f"{CLEAR}host01: step 0{CLEAR}host01: step 99{CLEAR}"


def test_nothing_comes_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen("two")
    monkeypatch.setattr(sys, "stderr", screen)
    before = threading.active_count()
    with ProgressLine("host01") as line:
        line.show("one")
        line.show("two")
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join()
    assert threading.active_count() == before
    assert screen.getvalue() == f"{CLEAR}host01: one{CLEAR}"

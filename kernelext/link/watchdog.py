"""Notices that a host is silent, by counting what comes from it; it asks nothing itself."""

from __future__ import annotations

import threading
from collections.abc import Callable

LOOK_S = 1.0
SILENT_LOOKS = 10  # the daemon says something every three seconds


class Watchdog:
    """Looks every second whether anything has come.

    It counts looks, not seconds: a process that was stopped itself, or a laptop that
    slept, first reads what came meanwhile.

    Parameters
    ----------
    name : str
        Of the host.
    heard : callable
        Returns a count that changes whenever something has come.
    on_silence : callable
        Called once, in the watchdog's thread.
    """

    def __init__(self, name: str, heard: Callable[[], int], on_silence: Callable[[], None]) -> None:
        self._heard = heard
        self._on_silence = on_silence
        self._stopped = threading.Event()
        threading.Thread(target=self._watch, name=f"watchdog-{name}", daemon=True).start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()

    def _watch(self) -> None:
        last, looks = self._heard(), 0
        while not self._stopped.wait(LOOK_S):
            now = self._heard()
            looks = looks + 1 if now == last else 0
            last = now
            if looks >= SILENT_LOOKS:
                self._on_silence()
                return

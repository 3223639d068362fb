"""One heartbeat for all threads of the daemon: something may have changed, look again."""

from __future__ import annotations

import threading


class Pulse:
    """A counter that threads wait on; also the lock of all attempt state."""

    def __init__(self) -> None:
        self._condition = threading.Condition(threading.RLock())
        self._count = 0

    def __enter__(self) -> Pulse:
        """Hold the lock."""
        self._condition.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        """Let the lock go."""
        self._condition.release()

    def beat(self) -> None:
        """Wake every waiter."""
        with self._condition:
            self._count += 1
            self._condition.notify_all()

    @property
    def count(self) -> int:
        """How often it has beaten."""
        return self._count

    def wait(self, seen: int, timeout_s: float) -> int:
        """Return the count as soon as it is not `seen`, at the latest after `timeout_s`."""
        with self._condition:
            if self._count == seen:
                self._condition.wait(timeout_s)
            return self._count

"""Ends attempts on a host from outside the process that follows them."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Sequence

from kernelext.errors import DaemonError, LinkLost
from kernelext.link import HostLink
from kernelext.models import AttemptEnd, AttemptId, EndCause
from kernelext.wire import Header

PAST_ALL = 2**62  # a place in a journal behind which nothing comes but the end
KILL_TIMEOUT_S = 30.0

Outcome = AttemptEnd | DaemonError | None


def stop_attempts(
    link: HostLink, attempts: Sequence[AttemptId], *, grace_s: float
) -> dict[AttemptId, Outcome]:
    """Interrupt attempts, kill those that do not end in time, and wait for the host's word.

    Parameters
    ----------
    link : HostLink
        Connected, and nobody else's: it listens to these attempts.
    attempts : sequence of AttemptId
    grace_s : float
        From the interrupt to the kill; 0 kills at once.

    Returns
    -------
    dict of AttemptId to AttemptEnd, DaemonError or None
        How each ended; the host's refusal where it does not know it; None where it has not
        confirmed an end.

    Raises
    ------
    LinkLost
        The connection broke before all was known.
    """
    return _Stopping(link).stop(attempts, grace_s)


class _Stopping:
    def __init__(self, link: HostLink) -> None:
        self._link = link
        self._news: queue.Queue[tuple[AttemptId, AttemptEnd] | None] = queue.Queue()
        self._outcomes: dict[AttemptId, Outcome] = {}

    def stop(self, attempts: Sequence[AttemptId], grace_s: float) -> dict[AttemptId, Outcome]:
        self._link.on_lost(lambda: self._news.put(None))
        for attempt in attempts:
            self._outcomes[attempt] = None
            self._link.listen(attempt, self._take)
            self._ask(attempt, lambda each: self._link.follow(each, PAST_ALL))
        if grace_s > 0:
            for attempt in self._living():
                self._ask(attempt, self._link.interrupt)
            self._wait(grace_s)
        for attempt in self._living():
            self._ask(attempt, lambda each: self._link.kill(each, EndCause.USER_INTERRUPT))
        self._wait(KILL_TIMEOUT_S)
        return self._outcomes

    def _take(self, header: Header, _: bytes) -> None:
        if header["push"] == "end":
            attempt = AttemptId.from_json(header["attempt"])
            self._news.put((attempt, AttemptEnd.from_json(header["end"])))

    def _living(self) -> list[AttemptId]:
        return [attempt for attempt, outcome in self._outcomes.items() if outcome is None]

    def _ask(self, attempt: AttemptId, request: Callable[[AttemptId], None]) -> None:
        try:
            request(attempt)
        except DaemonError as exc:
            self._outcomes[attempt] = exc

    def _wait(self, seconds: float) -> None:
        deadline_s = time.monotonic() + seconds
        while self._living() and time.monotonic() < deadline_s:
            try:
                news = self._news.get(timeout=max(0.0, deadline_s - time.monotonic()))
            except queue.Empty:
                return
            if news is None:
                raise LinkLost(f"the connection to {self._link.host.name} is lost")
            attempt, end = news
            self._outcomes[attempt] = end

"""Keeps a host within reach: after a cut it connects anew and has the step done again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from kernelext.errors import ConnectError, HostError, KernelExtError, LinkError, LinkLost, RunError
from kernelext.link import HostLink
from kernelext.models import EndCause

RETRY_S = 1.0
T = TypeVar("T")


class Cancelled(KernelExtError):
    """The user wants a step to stop."""


class Left(KernelExtError):
    """This process has closed its connections; what runs on the host runs on."""


class Reach:
    """One host's connection, as a run needs it.

    Parameters
    ----------
    link : HostLink
    say : callable
        Told ``unreachable`` and ``reachable``.
    check : callable
        Raises when it is of no more use to wait for the host.
    lost_after_s : float
        Silence after which the host is given up.
    """

    def __init__(
        self,
        link: HostLink,
        say: Callable[[str], None],
        check: Callable[[], None],
        lost_after_s: float,
    ) -> None:
        self._link = link
        self._say = say
        self._check = check
        self._lost_after_s = lost_after_s
        self._connected_s = 0.0
        self.is_unreachable = False

    def persist(self, step: Callable[[], T]) -> T:
        """Do a step, as often as the connection breaks under it.

        Raises
        ------
        RunError
            The host is given up.
        """
        while True:
            if not self._link.is_open:
                self.reconnect()
            generation = self._link.generation
            try:
                return step()
            except (LinkLost, ConnectError):
                if self._link.generation == generation:
                    self._link.reset()  # also one that stands, but does not answer

    def reconnect(self) -> None:
        """Try every second until the host answers; say so where it does not at once."""
        began_s = time.monotonic()
        time.sleep(max(0.0, self._connected_s + RETRY_S - began_s))
        if self._link.was_silent:
            self._miss()
        while True:
            self._check()
            try:
                self._link.connect()
            except (LinkError, HostError) as exc:
                if self._link.is_closed:
                    raise Left(f"the connections to {self._link.host.name} are closed") from exc
                self._miss()
                if time.monotonic() - began_s > self._lost_after_s:
                    raise self._given_up(time.monotonic() - began_s, exc) from exc
                time.sleep(RETRY_S)
            else:
                self._connected_s = time.monotonic()
                if self.is_unreachable:
                    self.is_unreachable = False
                    self._say("reachable")
                return

    def _miss(self) -> None:
        if not self.is_unreachable:
            self.is_unreachable = True
            self._say("unreachable")

    def _given_up(self, silent_s: float, reason: Exception) -> RunError:
        name = self._link.host.name
        waited = f"{silent_s / 60:.0f} min" if silent_s >= 90 else f"{silent_s:.0f} s"
        return RunError(
            f"{name} is lost: it has not answered for {waited} (lost_after), and what the cell"
            f" has done meanwhile is not known; the last try said: {reason}",
            cause=EndCause.HOST_LOST.value,
            host=name,
        )

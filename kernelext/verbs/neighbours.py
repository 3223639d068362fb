"""Other hosts that may have an image: those that are connected, then the rest of the user's file.

A console has connected nothing: it asks all.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
import time
from collections.abc import Iterable, Iterator

from kernelext.errors import ImageNotFound, KernelExtError
from kernelext.hosts.config import HostConfig
from kernelext.link import HostLink
from kernelext.verbs.context import Context

PATIENCE_S = 10.0  # with those that do not answer


@contextlib.contextmanager
def neighbours(context: Context, link: HostLink) -> Iterator[Iterable[HostLink]]:
    """Give the links of other hosts; who was asked is said where an image is not found.

    Nothing is connected before somebody goes over them as far.

    Raises
    ------
    ImageNotFound
        What is raised inside, with the names.
    """
    found = Neighbours(context, link)
    try:
        yield found
    except ImageNotFound as exc:
        raise ImageNotFound(f"{exc}{found.told}") from exc


class Neighbours:
    """The other hosts of a process.

    Parameters
    ----------
    context : Context
    link : HostLink
        Of the host that asks.
    """

    def __init__(self, context: Context, link: HostLink) -> None:
        self._context = context
        self._link = link
        self._asked: list[str] = []
        self._silent: list[str] = []

    @property
    def told(self) -> str:
        """Who was asked, as the end of a sentence; empty if nobody was."""
        asked = f"; asked too: {', '.join(self._asked)}" if self._asked else ""
        return asked + (f"; no answer from {', '.join(self._silent)}" if self._silent else "")

    def __iter__(self) -> Iterator[HostLink]:
        """Go over them, connected."""
        self._asked, self._silent = [], []
        connected = self._context.links.others(self._link)
        known = {self._link.host.name, *(each.host.name for each in connected)}
        for each in itertools.chain(connected, self._connect(self._unconnected(known))):
            self._asked.append(each.host.name)
            yield each

    def _unconnected(self, known: set[str]) -> Iterator[HostConfig]:
        for name in self._context.settings.hosts:
            if name not in known:
                with contextlib.suppress(KernelExtError):  # its context is gone, say
                    host = self._context.host(name)
                    if not host.is_local:
                        yield host

    def _connect(self, hosts: Iterable[HostConfig]) -> Iterator[HostLink]:
        """Connect hosts, all at once; give those that answer, as they do."""
        answers: queue.SimpleQueue[HostLink | None] = queue.SimpleQueue()
        pending = []
        for host in hosts:
            pending.append(host.name)
            link = self._context.links.get(host)
            threading.Thread(target=_try, args=(link, answers), daemon=True).start()
        deadline_s = time.monotonic() + PATIENCE_S
        for _ in list(pending):
            try:
                answer = answers.get(timeout=max(0.0, deadline_s - time.monotonic()))
            except queue.Empty:
                break
            if answer is not None:
                pending.remove(answer.host.name)
                yield answer
        self._silent = pending


def _try(link: HostLink, answers: queue.SimpleQueue[HostLink | None]) -> None:
    try:
        link.connect()
    except (KernelExtError, OSError):
        answers.put(None)
    else:
        answers.put(link)

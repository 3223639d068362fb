"""A run from its submission to its end."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from kernelext.errors import ConnectError, KernelExtError
from kernelext.history import History, RunRow
from kernelext.link import HostLink, LinkPool
from kernelext.models import AttemptEnd, EndCause, HostFacts, RunState
from kernelext.runs.desk import Desk
from kernelext.runs.homecoming import Homecoming
from kernelext.runs.placing import place, slots_of
from kernelext.runs.plan import RunPlan
from kernelext.runs.results import FoldResult
from kernelext.runs.sending import Encoder
from kernelext.runs.updates import FoldEnded, HostSaid, Tick, Update
from kernelext.runs.worker import HostWorker

TICK_S = 0.1


class Run:
    """Submits a plan and follows all its folds.

    Parameters
    ----------
    plan : RunPlan
    row : RunRow
        What the history is to say of it.
    links : LinkPool
    history : History
    home : Path
        The folder of all runs, in the user's data folder.
    """

    def __init__(
        self, plan: RunPlan, row: RunRow, *, links: LinkPool, history: History, home: Path
    ) -> None:
        self.plan = plan
        self.results: dict[str, FoldResult] = {}
        self._row = row
        self._links = links
        self._history = history
        self._home = home
        self._updates: queue.Queue[Update] = queue.Queue()
        self._workers: list[HostWorker] = []
        self._stops = 0
        self._homecoming = None
        if plan.baseline is not None:
            self._homecoming = Homecoming(plan.baseline, plan.snapshot, list(plan.folds))

    def start(self) -> None:
        """Write the run into the history, connect its hosts, place and submit its folds.

        Returns when the hosts' threads are at work.

        Raises
        ------
        KernelExtError
            When no host can be used; the run is in the history with that end.
        """
        self._history.add_run(self._row, list(self.plan.folds))
        try:
            links = self._connect()
        except BaseException as exc:
            interrupted = not isinstance(exc, KernelExtError)
            cause = EndCause.USER_INTERRUPT if interrupted else EndCause.INTERNAL
            state = RunState.CANCELLED if interrupted else RunState.FAILED
            end = AttemptEnd(state, cause, str(exc))
            self._history.end_unstarted(self.plan.run, end, time.time())
            raise
        before = [link.traffic() for link in links]
        self._before = list(zip(links, before, strict=True))
        encoder = Encoder(self.plan, self._row.python)
        desk = Desk(self.plan, encoder, self._history, self._home, self._updates, self._homecoming)
        slots = {link.host.name: self._slots(link) for link in links}
        placed = place(list(self.plan.folds), slots)
        for link in links:
            folds = placed[link.host.name]
            if folds:
                worker = HostWorker(desk, folds, link)
                self._workers.append(worker)
                worker.start()
        self._pass_stop_on()

    def updates(self) -> Iterator[Update]:
        """Yield what happens until all folds have ended, and a `Tick` now and then."""
        while len(self.results) < len(self.plan.folds) or not self._updates.empty():
            try:
                update = self._updates.get(timeout=TICK_S)
            except queue.Empty:
                yield Tick()
                continue
            if isinstance(update, FoldEnded):
                self.results[update.result.attempt.fold] = update.result
            yield update
        self._count_bytes()

    @property
    def file_notes(self) -> list[str]:
        """What the user has to know of files that came home, a sentence each."""
        return self._homecoming.notes.sentences() if self._homecoming else []

    @property
    def unreachable(self) -> list[str]:
        """The hosts that are known not to answer."""
        return [worker.host for worker in self._workers if worker.is_unreachable]

    def interrupt(self) -> int:
        """Interrupt all folds, the second time kill them; how often it was asked."""
        self._stops += 1
        self._pass_stop_on()
        return self._stops

    def _pass_stop_on(self) -> None:
        for worker in self._workers:
            if self._stops:
                worker.interrupt(kill=self._stops > 1)

    def _connect(self) -> list[HostLink]:
        """Connect all hosts side by side; those that cannot be used are said and left out."""
        links = [self._links.get(host) for host in self.plan.hosts]
        errors: dict[str, KernelExtError] = {}

        def connect(link: HostLink) -> None:
            try:
                facts: HostFacts = link.connect()
                kind = "local" if link.host.is_local else "ssh"
                self._history.touch_host(
                    link.host.name, kind, link.host.source, time.time(), vars(facts)
                )
            except KernelExtError as exc:
                errors[link.host.name] = exc
            except TimeoutError as exc:
                errors[link.host.name] = ConnectError(
                    f"{link.host.name} does not answer ({exc}); is it running?"
                )

        threads = [threading.Thread(target=connect, args=(link,), daemon=True) for link in links]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            threads[0].join(TICK_S / 2)
            threads = [thread for thread in threads if thread.is_alive()]
            if self._stops:
                raise KeyboardInterrupt("interrupted before anything was sent")
        usable = [link for link in links if link.host.name not in errors]
        if not usable:
            raise next(iter(errors.values()))
        for name, error in errors.items():
            self._updates.put(HostSaid(name, "left out", str(error)))
        return usable

    def _slots(self, link: HostLink) -> int:
        assert link.facts is not None
        return slots_of(link.facts, self.plan.limits)

    def _count_bytes(self) -> None:
        sent = received = 0
        for link, before in self._before:
            after = link.traffic()
            sent += after.sent_bytes - before.sent_bytes
            received += after.received_bytes - before.received_bytes
        self._history.add_bytes(self.plan.run, sent, received)

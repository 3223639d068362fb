"""A run from its submission to its end."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from kernelext.errors import ConnectError, HistoryError, KernelExtError
from kernelext.history import History, RunRow
from kernelext.link import HostLink, LinkPool
from kernelext.models import AttemptEnd, EndCause, HostFacts, RunState
from kernelext.runs.commit import note_commit
from kernelext.runs.desk import Desk
from kernelext.runs.homecoming import Homecoming
from kernelext.runs.hostnotes import note_host
from kernelext.runs.placing import place, require_gpus, slots_of
from kernelext.runs.plan import RunPlan
from kernelext.runs.results import FoldResult
from kernelext.runs.sending import Encoder
from kernelext.runs.updates import FoldEnded, HostSaid, Tick, Update
from kernelext.runs.worker import HostWorker

TICK_S = 0.1

log = logging.getLogger(__name__)


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
            self._place(self._connect())
        except BaseException as exc:
            interrupted = not isinstance(exc, Exception)
            cause = EndCause.USER_INTERRUPT if interrupted else EndCause.INTERNAL
            state = RunState.CANCELLED if interrupted else RunState.FAILED
            end = AttemptEnd(state, cause, str(exc) or repr(exc))
            for worker in self._workers:
                worker.interrupt(kill=True)
            with contextlib.suppress(HistoryError):  # why it did not start matters more
                self._history.end_unstarted(self.plan.run, end, time.time())
            raise
        self._pass_stop_on()

    def _place(self, links: list[HostLink]) -> None:
        """Distribute the folds over the hosts, and set a thread to work for each."""
        before = [link.traffic() for link in links]
        self._before = list(zip(links, before, strict=True))
        encoder = Encoder(self.plan, self._row.python)
        desk = Desk(
            self.plan,
            encoder,
            self._history,
            self._home,
            self._links,
            self._updates,
            self._homecoming,
        )
        slots = {link.host.name: self._slots(link) for link in links}
        placed = place(list(self.plan.folds), slots)
        for link in links:
            folds = placed[link.host.name]
            if folds:
                worker = HostWorker(desk, folds, link)
                worker.start()
                self._workers.append(worker)

    def updates(self) -> Iterator[Update]:
        """Yield what happens until all folds have ended, and a `Tick` now and then."""
        has_begun = False
        while len(self.results) < len(self.plan.folds) or not self._updates.empty():
            update: Update = Tick()
            with contextlib.suppress(queue.Empty):
                update = self._updates.get(timeout=TICK_S)
            if not has_begun:  # the hosts are at work: there is time for what is less urgent
                has_begun = True
                note_commit(self._history, self._row)
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
                note_host(self._history, link, facts)
                self._look_at_gpus(link, facts)
            except KernelExtError as exc:
                errors[link.host.name] = exc
            except TimeoutError as exc:
                errors[link.host.name] = ConnectError(
                    f"{link.host.name} does not answer ({exc}); is it running?"
                )
            except Exception as exc:  # the thread's end would leave the user without a word
                log.warning("host.unusable host=%s", link.host.name, exc_info=True)
                errors[link.host.name] = ConnectError(
                    f"{link.host.name} cannot be connected from this machine ({exc!r}); see that"
                    " it has room, open files to spare and a data folder that can be written to"
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

    def _look_at_gpus(self, link: HostLink, facts: HostFacts) -> None:
        """Refuse a host without the GPUs asked for; say once which GPUs nobody can use."""
        if self.plan.limits.gpus:
            if facts.gpu_problem:
                facts = link.refresh()  # it may have been mended since
            require_gpus(link.host.name, facts, self.plan.limits)
        elif facts.gpu_problem and link.says_once(facts.gpu_problem):
            self._updates.put(
                HostSaid(link.host.name, "note", f"{link.host.name}: {facts.gpu_problem}")
            )

    def _slots(self, link: HostLink) -> int:
        assert link.facts is not None
        return slots_of(link.facts, self.plan.limits)

    def _count_bytes(self) -> None:
        sent = received = 0
        for link, before in self._before:
            after = link.traffic()
            sent += after.sent_bytes - before.sent_bytes
            received += after.received_bytes - before.received_bytes
        with contextlib.suppress(HistoryError):  # how the run has ended matters more
            self._history.add_bytes(self.plan.run, sent, received)

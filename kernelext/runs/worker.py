"""One host's part of a run, in a thread of its own: send, follow, fetch, release."""

from __future__ import annotations

import contextlib
import hashlib
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from kernelext.errors import (
    ConnectError,
    DaemonError,
    KernelExtError,
    LinkLost,
    RunError,
)
from kernelext.history import History
from kernelext.link import HostLink
from kernelext.models import AttemptEnd, AttemptId, EndCause, RunState, ValueRef
from kernelext.runs.follower import Follower
from kernelext.runs.plan import RunPlan
from kernelext.runs.results import FoldResult
from kernelext.runs.sending import Encoder, Sender
from kernelext.runs.updates import FoldEnded, FoldEvent, FoldState, HostSaid, Update

RETRY_S = 1.0
T = TypeVar("T")


class Cancelled(KernelExtError):
    """The user wants it to stop before it has started."""


class HostWorker(threading.Thread):
    """Runs some folds of a plan on one host.

    Parameters
    ----------
    plan : RunPlan
    folds : list of str
    link : HostLink
        Connected.
    encoder : Encoder
    history : History
    home : Path
        The folder of all runs.
    out : queue.Queue
        Takes the updates.
    """

    def __init__(
        self,
        plan: RunPlan,
        folds: list[str],
        *,
        link: HostLink,
        encoder: Encoder,
        history: History,
        home: Path,
        out: queue.Queue[Update],
    ) -> None:
        super().__init__(name=f"host-{link.host.name}", daemon=True)
        self._plan = plan
        self._folds = folds
        self._link = link
        self._encoder = encoder
        self._history = history
        self._home = home
        self._out = out
        self._wake = threading.Event()
        self._stop: EndCause | None = None
        self._kills = False
        self._submitted = False
        self._followers: dict[str, Follower] = {}
        self._ends: dict[str, tuple[AttemptEnd, str]] = {}
        self._finished: set[str] = set()

    @property
    def host(self) -> str:
        """The host's name."""
        return self._link.host.name

    def run(self) -> None:
        """Do it; every fold gets its end, whatever happens."""
        self._link.on_lost(self._wake.set)
        try:
            for fold in self._folds:
                self._history.add_attempt(self._id(fold), self.host, time.time())
            self._persist(self._submit)
            self._submitted = True
            self._watch()
        except Cancelled:
            self._end_all(RunState.CANCELLED, EndCause.USER_INTERRUPT, None)
        except KernelExtError as exc:
            cause = EndCause(exc.cause) if isinstance(exc, RunError) else EndCause.INTERNAL
            state = RunState.LOST if cause is EndCause.HOST_LOST else RunState.FAILED
            self._end_all(state, cause, exc)
        finally:
            self._link.forget_listener(self._wake.set)

    def interrupt(self, *, kill: bool) -> None:
        """Have the folds interrupted, or killed; returns at once."""
        self._stop = EndCause.USER_INTERRUPT
        self._kills = kill
        threading.Thread(target=self._send_stop, daemon=True).start()

    def _send_stop(self) -> None:
        if not self._submitted:
            return
        for fold in self._folds:
            if fold in self._finished:
                continue
            with contextlib.suppress(KernelExtError):
                if self._kills:
                    self._link.kill(self._id(fold), EndCause.USER_INTERRUPT)
                else:
                    self._link.interrupt(self._id(fold))

    def _check(self) -> None:
        if self._stop is not None and not self._submitted:
            raise Cancelled("interrupted before it was sent")

    def _id(self, fold: str) -> AttemptId:
        return AttemptId(self._plan.run, fold, 1)

    # sending

    def _submit(self) -> None:
        self._check()
        sender = Sender(self._plan, self._link, self._encoder, self._check)
        sender.submit(self._folds, 1, self._say_sending)

    def _say_sending(self, size_bytes: int) -> None:
        self._out.put(HostSaid(self.host, "sending", f"{size_bytes / 1e6:.1f} MB"))

    # the connection

    def _persist(self, step: Callable[[], T]) -> T:
        """Do a step; after a cut connect anew, every second, and do it again."""
        while True:
            try:
                return step()
            except (LinkLost, TimeoutError):
                self._reconnect()

    def _reconnect(self) -> None:
        began_s = time.monotonic()
        self._out.put(HostSaid(self.host, "unreachable"))
        while True:
            self._check()
            try:
                self._link.connect()
                self._out.put(HostSaid(self.host, "reachable"))
                return
            except (LinkLost, ConnectError, TimeoutError):
                silent_s = time.monotonic() - began_s
                if silent_s > self._plan.lost_after_s:
                    raise RunError(
                        f"{self.host} has not answered for {silent_s / 60:.0f} min (lost_after);"
                        " what it has done meanwhile is not known",
                        cause=EndCause.HOST_LOST.value,
                        run=self._plan.run,
                        host=self.host,
                    ) from None
                time.sleep(RETRY_S)

    # following

    def _watch(self) -> None:
        for fold in self._folds:
            self._followers[fold] = self._new_follower(fold)
        self._persist(self._follow)
        if self._stop is not None:
            self._send_stop()
        while len(self._finished) < len(self._folds):
            self._wake.wait()
            self._wake.clear()
            if not self._link.is_open and len(self._ends) < len(self._folds):
                self._reconnect()
                self._persist(self._follow)
                if self._stop is not None:
                    self._send_stop()
            for fold in [fold for fold in self._ends if fold not in self._finished]:
                self._finish(fold)

    def _follow(self) -> None:
        for fold, follower in self._followers.items():
            if fold in self._ends:
                continue
            try:
                self._link.follow(self._id(fold), follower.offset, follower.take)
            except DaemonError as exc:
                raise RunError(
                    f"{self.host} no longer knows the run ({exc}); run the cell again",
                    cause=EndCause.HOST_LOST.value,
                    run=self._plan.run,
                    fold=fold,
                    host=self.host,
                ) from exc

    def _new_follower(self, fold: str) -> Follower:
        attempt = self._id(fold)

        def on_event(event: object) -> None:
            self._out.put(FoldEvent(fold, event))  # type: ignore[arg-type]

        def on_state(state: RunState) -> None:
            self._history.set_attempt_state(attempt, state, time.time())
            self._out.put(FoldState(fold, self.host, state))

        def on_end(end: AttemptEnd, image_digest: str) -> None:
            self._ends[fold] = end, image_digest
            self._link.unfollow(attempt)
            self._wake.set()

        directory = self._home / attempt.run / attempt.fold / str(attempt.attempt)
        return Follower(
            attempt, self.host, directory, on_event=on_event, on_state=on_state, on_end=on_end
        )

    # ending

    def _finish(self, fold: str) -> None:
        end, image_digest = self._ends[fold]
        follower = self._followers[fold]
        if end.state is RunState.DONE:
            for ref in follower.large_values():
                self._persist(lambda ref=ref: self._fetch(follower, ref))  # type: ignore[misc]
        with contextlib.suppress(KernelExtError, TimeoutError):
            self._link.release(self._id(fold))
        boot_id = self._link.facts.boot_id if self._link.facts else ""
        now = time.time()
        self._history.set_attempt_state(
            self._id(fold), RunState.RUNNING, now, image_digest=image_digest, boot_id=boot_id
        )
        self._close(fold, follower.result(end), follower.offset)

    def _fetch(self, follower: Follower, ref: ValueRef) -> None:
        path = follower.value_path(ref)
        path.parent.mkdir(exist_ok=True, mode=0o700)
        partial = path.with_name(path.name + ".new")
        with partial.open("wb") as out:
            for chunk in ref.chunks:
                data = self._link.get(follower.attempt, chunk.digest)
                if hashlib.sha256(data).hexdigest() != chunk.digest:
                    raise DaemonError(f"{ref.name} is damaged on {self.host}; run the cell again")
                out.write(data)
        partial.replace(path)

    def _end_all(self, state: RunState, cause: EndCause, error: KernelExtError | None) -> None:
        for fold in self._folds:
            if fold not in self._finished:
                message = str(error) if error else ""
                end = AttemptEnd(state, cause, message)
                result = FoldResult(self._id(fold), self.host, end, error=error)
                self._close(fold, result, 0)

    def _close(self, fold: str, result: FoldResult, journal_bytes: int) -> None:
        self._finished.add(fold)
        self._history.end_attempt(self._id(fold), result.end, time.time(), journal_bytes)
        self._out.put(FoldEnded(result))

"""One host's part of a run, in a thread of its own: send, follow, fetch, release."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import sys
import threading
import time

from kernelext.errors import (
    DaemonError,
    DiskFull,
    EngineError,
    HistoryError,
    ImageBuildError,
    ImageNotFound,
    KernelExtError,
    RunError,
)
from kernelext.image import find_image
from kernelext.link import HostLink
from kernelext.models import AttemptEnd, AttemptId, EndCause, RunState
from kernelext.runs.desk import Desk
from kernelext.runs.ending import Ending
from kernelext.runs.follower import Follower
from kernelext.runs.reach import Cancelled, Left, Reach
from kernelext.runs.results import FoldResult, cancelled_elsewhere
from kernelext.runs.sending import Sender
from kernelext.runs.updates import FoldEnded, FoldEvent, FoldState, HostSaid

log = logging.getLogger(__name__)


class HostWorker(threading.Thread):
    """Runs some folds of a plan on one host.

    Parameters
    ----------
    desk : Desk
    folds : list of str
    link : HostLink
        Connected.
    """

    def __init__(self, desk: Desk, folds: list[str], link: HostLink) -> None:
        super().__init__(name=f"host-{link.host.name}", daemon=True)
        self._desk = desk
        self._plan = desk.plan
        self._history = desk.history
        self._out = desk.out
        self._folds = folds
        self._link = link
        self._wake = threading.Event()
        self._reach = Reach(link, self._say, self._check, desk.plan.lost_after_s)
        self._ending = Ending(desk, link, self._reach, lambda: self._asked, self._say)
        self._stop: EndCause | None = None
        self._kills = False
        self._asked = 0  # how often it was to stop
        self._stopped: set[tuple[str, bool]] = set()  # what the host has confirmed to have done
        self._submitted = False  # from when on the host may have it
        self._followed_on = 0  # the connection that pushes
        self._followers: dict[str, Follower] = {}
        self._ends: dict[str, tuple[AttemptEnd, str]] = {}
        self._broken: dict[str, Exception] = {}
        self._finished: set[str] = set()

    @property
    def host(self) -> str:
        """The host's name."""
        return self._link.host.name

    @property
    def is_unreachable(self) -> bool:
        """Whether the host is known not to answer."""
        return self._reach.is_unreachable

    def run(self) -> None:
        """Do it; every fold gets its end, whatever happens."""
        self._link.on_lost(self._wake.set)
        try:
            for fold in self._folds:
                self._followers[fold] = self._new_follower(fold)
                self._history.add_attempt(self._id(fold), self.host, time.time())
                self._history.set_attempt_state(self._id(fold), RunState.SENDING, time.time())
                self._out.put(FoldState(fold, self.host, RunState.SENDING))
            self._reach.persist(self._submit)
            self._watch()
        except Cancelled as exc:
            self._end_all(RunState.CANCELLED, EndCause.USER_INTERRUPT, None, str(exc))
        except Left:
            self._folds = []  # their ends are known to the host alone
        except RunError as exc:
            lost = exc.cause == EndCause.HOST_LOST.value
            state = RunState.LOST if lost else RunState.FAILED
            self._end_all(state, EndCause(exc.cause), exc)
        except DiskFull:
            self._end_all(RunState.FAILED, EndCause.DISK_FULL, None)
        except KernelExtError as exc:
            self._end_all(RunState.FAILED, _refusal(exc), exc)
        except OSError as exc:
            self._end_all(RunState.FAILED, EndCause.INTERNAL, self._home_error(exc))
        finally:
            self._link.forget_listener(self._wake.set)
            if len(self._finished) < len(self._folds):
                reason = f"kernelext itself failed ({sys.exc_info()[1]!r}); run the cell again"
                self._end_all(RunState.FAILED, EndCause.INTERNAL, RunError(reason))
            for follower in self._followers.values():
                follower.close()

    def interrupt(self, *, kill: bool) -> None:
        """Have the folds interrupted, or killed; returns at once.

        While the host is silent it is kept in mind: it happens when the host answers.
        """
        self._asked += 1
        self._kills = self._kills or kill
        self._stop = EndCause.USER_INTERRUPT
        threading.Thread(target=self._send_stop, daemon=True).start()

    def _send_stop(self) -> None:
        kills = self._kills
        if self._stop is None:
            return
        if not self._submitted:
            self._link.reset()  # wakes whoever sends, or waits for an image
            return
        for fold in self._living():
            if (fold, kills) in self._stopped:
                continue
            with contextlib.suppress(KernelExtError):
                if kills:
                    self._link.kill(self._id(fold), self._stop)
                else:
                    self._link.interrupt(self._id(fold))
                self._stopped.add((fold, kills))

    def _check(self) -> None:
        if self._stop is not None and not self._submitted:
            raise Cancelled(f"interrupted before the cell was submitted to {self.host}")

    def _id(self, fold: str) -> AttemptId:
        return AttemptId(self._plan.run, fold, 1)

    def _say(self, word: str, detail: str = "") -> None:
        self._out.put(HostSaid(self.host, word, detail))

    # sending

    def _submit(self) -> None:
        if self._stop is not None and self._submitted:
            self._withdraw()
            return
        generation = self._link.generation
        plan, encoder = self._plan, self._desk.encoder
        sender = Sender(plan, self._link, encoder, self._check, self._note_submission)
        sender.submit(self._folds, 1, self._ready_image(), self._say_sending)
        for note in sender.notes:
            self._say("note", note)
        self._followed_on = generation

    def _ready_image(self) -> str:
        """Have the run's image on the host, and return what it is called there."""
        environment = self._plan.environment_on(self._link.host)
        others = self._desk.links.others(self._link)
        if environment is not None:
            return environment.ready(self._link, self._say_building, self._check, others)
        image = self._plan.image_on(self._link.host)
        find_image(self._link, image, others, self._say_building, self._check)
        return image

    def _note_submission(self, is_submitted: bool) -> None:
        self._submitted = is_submitted

    def _withdraw(self) -> None:
        """Take back what arrived before a cut, if it did, instead of sending it again."""
        for fold in self._living():
            try:
                self._link.kill(self._id(fold), EndCause.USER_INTERRUPT)
            except DaemonError as exc:
                self._end_unknown(fold, exc)

    def _say_building(self, step: str) -> None:
        self._say("image:", step)

    def _say_sending(self, size_bytes: int) -> None:
        self._say("sending", f"{size_bytes / 1e6:.1f} MB")

    # following

    def _watch(self) -> None:
        while len(self._finished) < len(self._folds):
            is_followed = self._link.is_open and self._followed_on == self._link.generation
            if self._living() and not is_followed:
                self._reach.persist(self._follow)
                threading.Thread(target=self._send_stop, daemon=True).start()
            for fold in [fold for fold in list(self._ends) if fold not in self._finished]:
                self._finish(fold)
            for fold, exc in list(self._broken.items()):
                self._fail(fold, self._home_error(exc))
            if len(self._finished) < len(self._folds):
                self._wake.wait()
                self._wake.clear()

    def _living(self) -> list[str]:
        over = {*self._finished, *list(self._ends), *list(self._broken)}
        return [fold for fold in self._folds if fold not in over]

    def _follow(self) -> None:
        generation = self._link.generation
        for fold in self._living():
            try:
                self._link.follow(self._id(fold), self._followers[fold].offset)
            except DaemonError as exc:
                self._end_unknown(fold, exc)
        self._followed_on = generation

    def _new_follower(self, fold: str) -> Follower:
        attempt = self._id(fold)

        def on_state(state: RunState) -> None:
            with contextlib.suppress(HistoryError):  # the end is written again
                self._history.set_attempt_state(attempt, state, time.time())
            self._out.put(FoldState(fold, self.host, state))

        def on_end(end: AttemptEnd, image_digest: str) -> None:
            self._ends[fold] = end, image_digest
            if end.cause is EndCause.IMAGE:
                self._link.forget_images()
            self._link.unfollow(attempt)
            self._wake.set()

        def on_failure(exc: Exception) -> None:
            self._broken[fold] = exc
            self._link.unfollow(attempt)
            self._wake.set()

        follower = Follower(
            attempt,
            self._desk.directory(attempt),
            on_event=lambda event: self._out.put(FoldEvent(fold, event)),
            on_state=on_state,
            on_end=on_end,
            on_failure=on_failure,
        )
        self._link.listen(attempt, follower.take)
        return follower

    # ending

    def _finish(self, fold: str) -> None:
        end, image_digest = self._ends[fold]
        boot_id = self._link.facts.boot_id if self._link.facts else ""
        try:
            result = self._ending.bring(self._followers[fold], end)
        except DaemonError as exc:
            self._fail(fold, exc)
            return
        with contextlib.suppress(HistoryError):
            self._history.set_attempt_state(
                self._id(fold),
                RunState.RUNNING,
                time.time(),
                image_digest=image_digest,
                boot_id=boot_id,
            )
        if end.cause is EndCause.USER_INTERRUPT and self._stop is None:
            result = dataclasses.replace(result, error=cancelled_elsewhere(result))
        self._close(fold, result)

    def _fail(self, fold: str, error: KernelExtError) -> None:
        """End a fold whose results cannot come home; its host is to throw it away."""
        if fold not in self._finished:
            self._link.release(self._id(fold), kill=True)
            end = AttemptEnd(RunState.FAILED, EndCause.INTERNAL, str(error))
            self._close(fold, FoldResult(self._id(fold), self.host, end, error=error))

    def _end_unknown(self, fold: str, reason: DaemonError) -> None:
        """End a fold that its host does not know: it never came there, or is gone with a disk."""
        message = f"interrupted; {self.host} confirmed that the cell has not begun"
        end = AttemptEnd(RunState.CANCELLED, EndCause.USER_INTERRUPT, message)
        if self._stop is None:
            end = AttemptEnd(
                RunState.LOST, EndCause.HOST_LOST, f"it no longer knows the run ({reason})"
            )
        self._close(fold, FoldResult(self._id(fold), self.host, end))

    def _end_all(
        self,
        state: RunState,
        cause: EndCause,
        error: KernelExtError | None,
        message: str = "",
    ) -> None:
        for fold in self._folds:
            if fold not in self._finished:
                told = error
                if fold in self._ends:  # its results and files are still to come
                    self._ending.leave(self._followers[fold])
                    told = self._left_there(error, cause) if error else None
                elif self._submitted:
                    self._link.release(self._id(fold), kill=True)
                end = AttemptEnd(state, cause, str(told) if told else message)
                self._close(fold, FoldResult(self._id(fold), self.host, end, error=told))

    def _left_there(self, error: KernelExtError, cause: EndCause) -> RunError:
        """Say what goes before a cell's results could come, and the way to them."""
        return RunError(
            f"{error}; the cell had ended: `%remote fetch {self._plan.run}` brings its results if"
            f" {self.host} still has them",
            cause=cause.value,
            run=self._plan.run,
            host=self.host,
        )

    def _home_error(self, exc: Exception) -> KernelExtError:
        return RunError(
            f"the output of the run cannot be kept on this machine ({exc}); see that"
            f" {self._desk.home} can be written to, and run the cell again",
            run=self._plan.run,
            host=self.host,
        )

    def _close(self, fold: str, result: FoldResult) -> None:
        self._finished.add(fold)
        follower = self._followers.get(fold)
        self._link.unfollow(self._id(fold))
        try:
            size_bytes = follower.offset if follower else 0
            self._history.end_attempt(self._id(fold), result.end, time.time(), size_bytes)
        except HistoryError as exc:
            log.warning("history.late attempt=%s reason=%s", self._id(fold), exc)
        self._out.put(FoldEnded(result))


def _refusal(error: KernelExtError) -> EndCause:
    """Name the cause of a run that was refused before it started."""
    if isinstance(error, (ImageNotFound, ImageBuildError)):
        return EndCause.IMAGE
    return EndCause.ENGINE if isinstance(error, EngineError) else EndCause.INTERNAL

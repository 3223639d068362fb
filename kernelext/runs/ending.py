"""Brings home what ended attempts of a host have; what has not come is left there."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from kernelext.errors import DaemonError, KernelExtError, RunError
from kernelext.link import HostLink
from kernelext.models import INLINE_LIMIT_BYTES, AttemptEnd, EndCause, RunState
from kernelext.runs.desk import Desk
from kernelext.runs.fetching import distinct, fetch
from kernelext.runs.filefetching import FILES_NAME, FileFetch
from kernelext.runs.follower import Follower
from kernelext.runs.journal import VALUES_NAME
from kernelext.runs.keeping import keep_pickles
from kernelext.runs.reach import Cancelled, Reach
from kernelext.runs.results import FoldResult
from kernelext.runs.unfetched import forget_unfetched, note_unfetched


class Ending:
    """Brings the results and files of ended attempts home, then has the host delete its own.

    Parameters
    ----------
    desk : Desk
    link : HostLink
    reach : Reach
    stops : callable
        How often the user wanted it to stop.
    say : callable
        Told a word and a detail.
    """

    def __init__(
        self,
        desk: Desk,
        link: HostLink,
        reach: Reach,
        stops: Callable[[], int],
        say: Callable[[str, str], None],
    ) -> None:
        self._desk = desk
        self._link = link
        self._reach = reach
        self._stops = stops
        self._say = say

    def bring(self, follower: Follower, end: AttemptEnd) -> FoldResult:
        """Bring what an attempt has, and release it on the host when all is here.

        Raises
        ------
        DaemonError
            The host has not what it promised.
        RunError
            The host is given up before the results are here.
        """
        host = self._link.host
        try:
            problem = self._bring_values(follower, end)
            is_whole = self._bring_files(follower)
            if problem is not None and is_whole:
                raise problem
            result = follower.result(host.name, end)
            if not host.loads_pickles:
                directory = follower.directory / VALUES_NAME
                result = keep_pickles(result, self._desk.plan, directory)
        except Cancelled as exc:
            self.leave(follower)
            if end.state is RunState.DONE:
                end = AttemptEnd(RunState.CANCELLED, EndCause.USER_INTERRUPT, str(exc))
            return follower.result(host.name, end)
        except OSError as exc:
            self.leave(follower)
            return self._failed(follower, self._unkept(exc))
        if is_whole:
            self._link.release(follower.attempt)
        else:
            self.leave(follower)
        return result if problem is None else self._failed(follower, problem)

    def leave(self, follower: Follower) -> None:
        """Leave an ended attempt on its host, and note that `fetch` is to ask for its files."""
        plan, changes = self._desk.plan, follower.changes
        if plan.baseline is not None and changes.files:
            note_unfetched(follower.directory, plan.baseline)

    def way_back(self) -> str:
        """Say how the user gets what was left there."""
        return f"{self._link.host.name} keeps them: `%remote fetch {self._desk.plan.run}`"

    def _bring_values(self, follower: Follower, end: AttemptEnd) -> DaemonError | None:
        """Bring large results; what the host lacks of them, if it does."""
        if end.state is not RunState.DONE:
            return None
        try:
            for ref in distinct(follower.account.absent_values()):
                self._reach.persist(partial(fetch, self._link, follower, ref, self._check_values))
        except DaemonError as exc:
            return exc
        return None

    def _check_values(self) -> None:
        if self._stops():
            raise Cancelled(
                f"interrupted: the cell had ended on {self._link.host.name}, its results have not"
                f" come home; {self.way_back()}"
            )

    def _bring_files(self, follower: Follower) -> bool:
        """Bring changed files, also those of a cell that has failed; whether they are here."""
        homecoming, stops = self._desk.homecoming, self._stops()
        changes = follower.changes
        if homecoming is None or not (changes.files or changes.left):
            return True
        host = self._link.host.name

        def check() -> None:
            if self._stops() > stops:
                sentence = f"interrupted: not all files of {host} have come home; {self.way_back()}"
                homecoming.notes.say(sentence)
                raise Cancelled(sentence)

        folder = follower.directory / FILES_NAME
        files = FileFetch(self._link, follower.attempt, homecoming, folder, check)
        size_bytes = files.plan(changes)
        if size_bytes > INLINE_LIMIT_BYTES:
            self._say("fetching", f"{size_bytes / 1e6:.1f} MB of files")
            self.leave(follower)  # this process may die meanwhile
        try:
            self._reach.persist(files.fetch)
        except RunError as exc:  # the host is lost; how the cell ended is known
            homecoming.notes.say(
                f"The files of {host} did not all come home: {exc}; if it answers again,"
                f" `%remote fetch {self._desk.plan.run}` brings them"
            )
            return False
        forget_unfetched(follower.directory)
        return True

    def _failed(self, follower: Follower, error: KernelExtError) -> FoldResult:
        end = AttemptEnd(RunState.FAILED, EndCause.INTERNAL, str(error))
        return FoldResult(follower.attempt, self._link.host.name, end, error=error)

    def _unkept(self, exc: OSError) -> RunError:
        return RunError(
            f"the results of the run cannot be kept on this machine ({exc}); see that"
            f" {self._desk.home} can be written to; {self.way_back()}",
            run=self._desk.plan.run,
            host=self._link.host.name,
        )

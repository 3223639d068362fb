"""Ends attempts: what the cell has changed, the record, and that nothing of it stays."""

from __future__ import annotations

import contextlib
import logging
import threading

from kernelext.daemon.attempts import Attempt, Attempts
from kernelext.daemon.blobs import BlobStore
from kernelext.daemon.engine import Engine
from kernelext.daemon.outputs import changed_files
from kernelext.daemon.removal import remove_tree
from kernelext.daemon.spares import Spares
from kernelext.daemon.statedir import StateDir
from kernelext.daemon.workdir import project_files
from kernelext.errors import KernelExtError
from kernelext.models import PROJECT_DIR, AttemptEnd, EndCause, FileChanges, RunState

log = logging.getLogger(__name__)

# Something of the cell may still run, or the disk may have lost what was written last.
UNSURE_ENDS = (EndCause.INTERNAL, EndCause.ENGINE, EndCause.HOST_LOST)


class Endings:
    """Knows how an attempt ends, however it has gone.

    Parameters
    ----------
    state : StateDir
    attempts : Attempts
    blobs : BlobStore
    engine : Engine
    spares : Spares
    """

    def __init__(
        self,
        state: StateDir,
        attempts: Attempts,
        blobs: BlobStore,
        engine: Engine,
        spares: Spares,
    ) -> None:
        self._state = state
        self._attempts = attempts
        self._blobs = blobs
        self._engine = engine
        self._spares = spares

    def finish(self, attempt: Attempt, end: AttemptEnd) -> None:
        """Write down what the cell has changed and how it ended, then clear."""
        if attempt.state.is_final:
            return  # taken from the queue while its image was looked up
        if attempt.final_bytes is None:
            attempt.final_bytes = attempt.journal_size()
        if attempt.stop_asked and end.cause in (EndCause.ENGINE, EndCause.INTERNAL):
            cause = EndCause(attempt.stop_asked)
            end = AttemptEnd(stopped_state(cause), cause)
        self._attempts.keep_changes(attempt, self._changes(attempt, end))
        self._end(attempt, end)

    def give_up(self, attempt: Attempt, reason: BaseException) -> None:
        """End an attempt whose thread has failed; one that has ended stays as it is."""
        if attempt.state.is_final:
            return
        with contextlib.suppress(OSError):
            attempt.final_bytes = attempt.journal_size()
        message = f"the host failed: {type(reason).__name__}: {reason}; run the cell again"
        self._end(attempt, AttemptEnd(RunState.FAILED, EndCause.INTERNAL, message))

    def _end(self, attempt: Attempt, end: AttemptEnd) -> None:
        log.info("attempt.ended id=%s state=%s cause=%s", attempt.id, end.state, end.cause)
        self._attempts.change(attempt, state=end.state, end=end)
        if attempt.is_unwanted:
            self._attempts.forget(attempt)
        container = attempt.record.container
        if container:
            arguments = (attempt, container)
            threading.Thread(target=self._clear, args=arguments, name=f"remove-{container}").start()

    def _clear(self, attempt: Attempt, container: str) -> None:
        try:
            self._engine.remove(container)
        except (KernelExtError, OSError) as exc:  # `gc` finds it
            log.warning("container.left name=%s reason=%s", container, exc)
        waiting = self._state.work / container
        if waiting.is_symlink():
            waiting.unlink()
        remove_tree(waiting)
        project = attempt.record.spec.project
        if project is not None:
            threading.Thread(target=self._spares.prepare, args=(project,), daemon=True).start()

    def _changes(self, attempt: Attempt, end: AttemptEnd) -> FileChanges:
        """Find the files that the cell has changed, however it ended, if it surely has."""
        if end.cause in UNSURE_ENDS:
            return FileChanges()
        try:
            return self._search(attempt)
        except (KernelExtError, OSError, ValueError) as exc:  # its end counts more
            log.exception("attempt.unsearched id=%s", attempt.id)
            reason = f"what the cell changed there could not be looked for: {exc}"
            return FileChanges(left=tuple((each, reason) for each in attempt.record.spec.collect))

    def _search(self, attempt: Attempt) -> FileChanges:
        spec = attempt.record.spec
        work = self._attempts.work(attempt)
        if not any((work / PROJECT_DIR / folder).exists() for folder in spec.collect):
            return FileChanges()
        sent = project_files(spec.project, self._blobs) if spec.project else ()
        below = tuple(f"{folder}/" for folder in spec.collect)
        by_path = {entry.path: entry for entry in sent if entry.path.startswith(below)}
        return changed_files(work, spec.collect, by_path, attempt.placed)


def stopped_state(cause: EndCause) -> RunState:
    """Return the state of an attempt that was stopped for a cause."""
    cancelled = cause is EndCause.USER_INTERRUPT
    return RunState.CANCELLED if cancelled else RunState.FAILED

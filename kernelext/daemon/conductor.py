"""Takes one attempt from its slot to its end."""

from __future__ import annotations

import contextlib
import secrets
import socket
import time
from pathlib import Path

from kernelext.daemon.attempts import Attempt, Attempts
from kernelext.daemon.blobs import BlobStore
from kernelext.daemon.capacity import Share
from kernelext.daemon.ending import Endings, stopped_state
from kernelext.daemon.engine import ContainerPlan, ContainerStatus, Engine
from kernelext.daemon.pulse import Pulse
from kernelext.daemon.spares import Spares
from kernelext.daemon.starter import Starter
from kernelext.daemon.statedir import StateDir, open_beneath
from kernelext.daemon.supervision import JournalReader, connect_supervisor, whole_journal
from kernelext.daemon.workdir import make_work, place_inputs
from kernelext.errors import DaemonError, EngineError, ImageNotFound, KernelExtError
from kernelext.models import (
    EXIT_DISK_FULL,
    JOURNAL_NAME,
    AttemptEnd,
    EndCause,
    RunState,
    to_json,
)

LOOK_S = 0.25  # pokes are hints: beside them everything is looked at this often
STATUS_S = 2.0
READY_TIMEOUT_S = 120.0
EXIT_UNKNOWN = 255  # what an engine says that found a container dead when it started itself


class InputMissing(KernelExtError):
    """What the cell was given is no longer here."""


class Conductor:
    """Knows how an attempt is prepared, claimed and watched.

    Attributes
    ----------
    spares : Spares
        The project copy that waits for its next run.
    """

    def __init__(
        self,
        state: StateDir,
        attempts: Attempts,
        blobs: BlobStore,
        engine: Engine,
        pulse: Pulse,
        boot_id: str,
    ) -> None:
        spares = Spares(state, blobs, engine.cell_uid)
        self._state = state
        self._attempts = attempts
        self._blobs = blobs
        self._engine = engine
        self._pulse = pulse
        self._boot_id = boot_id
        self.spares = spares
        self._endings = Endings(state, attempts, blobs, engine, spares)

    def conduct(self, attempt: Attempt, share: Share) -> None:
        """Run an attempt to its end; the end is in its record, whatever happens."""
        try:
            _require_env(attempt)
            _require_gpus(attempt, share)
            self._prepare(attempt, share)
            self._claim(attempt)
            end = self._watch(attempt)
        except InputMissing as exc:
            end = AttemptEnd(RunState.FAILED, EndCause.INPUT_MISSING, str(exc))
        except ImageNotFound as exc:
            end = AttemptEnd(RunState.FAILED, EndCause.IMAGE, str(exc))
        except EngineError as exc:
            end = AttemptEnd(RunState.FAILED, EndCause.ENGINE, str(exc))
        except OSError as exc:
            cause = EndCause.DISK_FULL if exc.errno == 28 else EndCause.INTERNAL
            end = AttemptEnd(RunState.FAILED, cause, str(exc))
        except (KernelExtError, ValueError) as exc:
            end = AttemptEnd(RunState.FAILED, EndCause.INTERNAL, str(exc))
        self._endings.finish(attempt, end)

    def resume(self, attempt: Attempt) -> None:
        """Go on with an attempt that an earlier daemon has claimed."""
        try:
            work = self._attempts.work(attempt)
            if attempt.record.boot_id != self._boot_id:
                end = _end_before_boot(attempt, work)
            else:
                attempt.journal_fd = open_beneath(work, JOURNAL_NAME)
                attempt.control = connect_supervisor(work)
                if attempt.control and not attempt.ask({"op": "status"}).get("claimed"):
                    _require_env(attempt)
                    self._hand_over(attempt)
                self._attempts.drop_env(attempt)
                end = self._watch(attempt)
        except InputMissing as exc:
            self._engine.remove(attempt.record.container)
            end = AttemptEnd(RunState.FAILED, EndCause.INPUT_MISSING, str(exc))
        except (KernelExtError, OSError) as exc:
            end = AttemptEnd(RunState.FAILED, EndCause.INTERNAL, str(exc))
        self._endings.finish(attempt, end)

    def give_up(self, attempt: Attempt, reason: BaseException) -> None:
        """End an attempt that could not be conducted, for a reason that nobody foresaw."""
        self._endings.give_up(attempt, reason)

    # before the claim

    def _prepare(self, attempt: Attempt, share: Share) -> None:
        spec = attempt.record.spec
        image = spec.image or self._engine.default_image()
        facts = self._engine.inspect_image(image)
        container = f"kernelext-{secrets.token_hex(6)}"
        with self._pulse:
            _check_wanted(attempt)
            self._attempts.change(
                attempt,
                state=RunState.STARTING,
                container=container,
                image_digest=facts.digest,
                boot_id=self._boot_id,
                gpus=share.gpus,
            )
        work = self._state.work / container
        uid = self._engine.cell_uid
        attempt.journal_fd = make_work(work, uid)
        plan = ContainerPlan(
            # By digest: the name may mean another image by now.
            container,
            facts.digest or image,
            spec.owner,
            work,
            share.threads,
            spec.limits.cpus,
            share.limit_bytes,
            share.gpus,
        )
        self._engine.create(plan)
        starter = Starter(self._engine, container)
        place_inputs(work, (*spec.inputs, *attempt.record.task.inputs), self._blobs, uid)
        if spec.project is not None:
            attempt.placed = self.spares.place(work, spec.project)
        starter.join()
        attempt.control = self._wait_ready(attempt, work)

    def _wait_ready(self, attempt: Attempt, work: Path) -> socket.socket:
        deadline_s = time.monotonic() + READY_TIMEOUT_S
        while True:
            seen = self._pulse.count
            connection = connect_supervisor(work)
            if connection is not None:
                return connection
            status = self._engine.status(attempt.record.container)
            if status is None or not status.is_running:
                code = status.exit_code if status else None
                raise EngineError(f"the container ended before it took the cell (exit code {code})")
            if time.monotonic() > deadline_s:
                raise EngineError(f"the container was not ready within {READY_TIMEOUT_S:g} s")
            self._pulse.wait(seen, 0.02)

    def _claim(self, attempt: Attempt) -> None:
        _check_wanted(attempt)
        waiting = self._state.work / attempt.record.container
        target = self._attempts.work(attempt)
        waiting.rename(target)
        # A container's mount follows; a process of `local` goes on to use the old path.
        waiting.symlink_to(target)
        self._attempts.change(attempt, state=RunState.RUNNING)
        self._hand_over(attempt)

    def _hand_over(self, attempt: Attempt) -> None:
        claim = {
            "op": "claim",
            "spec": to_json(attempt.record.spec),
            "task": to_json(attempt.record.task),
            "env": attempt.env,
            "run": attempt.id.run,
            "fold": attempt.id.fold,
            "attempt": attempt.id.attempt,
        }
        attempt.ask(claim)
        self._attempts.drop_env(attempt)

    # after it

    def _watch(self, attempt: Attempt) -> AttemptEnd:
        reader = JournalReader(attempt.journal_fd)
        look_at_s = time.monotonic() + STATUS_S
        while True:
            seen = self._pulse.count
            reader.advance()
            if reader.end is not None:
                attempt.final_bytes = reader.offset
                return reader.end
            if time.monotonic() >= look_at_s or attempt.stop_asked:
                look_at_s = time.monotonic() + STATUS_S
                status = self._engine.status(attempt.record.container)
                if status is None or not status.is_running:
                    reader.advance()
                    attempt.final_bytes = reader.whole_bytes
                    end: AttemptEnd | None = reader.end
                    return end or self._silent_end(attempt, status)
            self._pulse.wait(seen, LOOK_S)

    def _silent_end(self, attempt: Attempt, status: ContainerStatus | None) -> AttemptEnd:
        """Say how a container ended whose supervisor could not."""
        code = status.exit_code if status else None
        if status and status.is_out_of_memory:
            return AttemptEnd(RunState.FAILED, EndCause.OUT_OF_MEMORY, exit_code=code)
        if attempt.stop_asked:
            cause = EndCause(attempt.stop_asked)
            return AttemptEnd(stopped_state(cause), cause, exit_code=code)
        if code == EXIT_UNKNOWN:
            return _lost("it, or its Docker engine, was restarted")
        if code == EXIT_DISK_FULL:
            return AttemptEnd(RunState.FAILED, EndCause.DISK_FULL, exit_code=code)
        return AttemptEnd(
            RunState.FAILED, EndCause.KILLED, "something ended its container", exit_code=code
        )

    def stop(self, attempt: Attempt, cause: EndCause) -> None:
        """Kill an attempt, or take it from the queue."""
        with self._pulse:
            if attempt.state.is_final:
                return
            attempt.stop_asked = cause.value
            if attempt.state is RunState.QUEUED:
                self._attempts.change(
                    attempt,
                    state=stopped_state(cause),
                    end=AttemptEnd(stopped_state(cause), cause),
                )
                return
        if attempt.control is not None:
            with contextlib.suppress(DaemonError):
                attempt.ask({"op": "kill", "cause": cause.value})
                return
        self._engine.remove(attempt.record.container)

    def interrupt(self, attempt: Attempt) -> None:
        """Send SIGINT to the cell; one that has not begun is cancelled."""
        if attempt.state is RunState.RUNNING and attempt.control is not None:
            attempt.ask({"op": "interrupt"})
        else:
            self.stop(attempt, EndCause.USER_INTERRUPT)


def _check_wanted(attempt: Attempt) -> None:
    if attempt.stop_asked:
        raise DaemonError("it was stopped before it began")


def _end_before_boot(attempt: Attempt, work: Path) -> AttemptEnd:
    """Take what reached the disk before the machine went down: its end, if it had one."""
    end: AttemptEnd | None = None
    with contextlib.suppress(DaemonError, OSError):
        attempt.journal_fd = open_beneath(work, JOURNAL_NAME)
        attempt.final_bytes, end = whole_journal(attempt.journal_fd)
    if end is None or end.cause is EndCause.KILLED:  # in an orderly shutdown
        return _lost("it was restarted")
    return end


def _lost(message: str) -> AttemptEnd:
    return AttemptEnd(RunState.LOST, EndCause.HOST_LOST, message)


def _require_env(attempt: Attempt) -> None:
    """Refuse a cell whose secrets are gone: they are in memory only."""
    absent = [name for name in attempt.record.spec.env if name not in attempt.env]
    if absent:
        raise InputMissing(
            f"the values of {', '.join(absent)} are gone with a restart of the host;"
            " run the cell again"
        )


def _require_gpus(attempt: Attempt, share: Share) -> None:
    """Refuse a cell whose GPUs have gone since its host was asked for them."""
    asked = attempt.record.spec.limits.gpus or 0
    if asked > len(share.gpus) or (asked and not share.gpus):
        there = f"the host has {len(share.gpus) or 'none'} that cells can use"
        raise EngineError(f"the cell asks for GPUs, but {there}; see `%remote hosts NAME`")

"""The host's queue: who waits, who has a slot."""

from __future__ import annotations

import logging
import threading

from kernelext.daemon.attempts import Attempt, Attempts
from kernelext.daemon.capacity import Capacity, Share
from kernelext.daemon.conductor import Conductor
from kernelext.daemon.engine import Engine
from kernelext.daemon.pulse import Pulse
from kernelext.models import HostFacts, RunState

log = logging.getLogger(__name__)

LOOK_S = 1.0


class Queue:
    """Starts attempts in the order they came, as far as cores, memory and GPUs go.

    Parameters
    ----------
    attempts : Attempts
    conductor : Conductor
    engine : Engine
        Says which GPUs there are.
    pulse : Pulse
    capacity : Capacity
    """

    def __init__(
        self,
        attempts: Attempts,
        conductor: Conductor,
        engine: Engine,
        pulse: Pulse,
        capacity: Capacity,
    ) -> None:
        self._attempts = attempts
        self._conductor = conductor
        self._engine = engine
        self._pulse = pulse
        self._capacity = capacity

    def begin(self) -> None:
        """Go on with what an earlier daemon left, then serve the queue in a thread."""
        self._look_for_gpus()
        for attempt in self._attempts.living():
            if attempt.state is RunState.RUNNING:
                self._capacity.keep(attempt.id, attempt.record.spec, attempt.record.gpus)
                self._spawn(attempt, None)
        threading.Thread(target=self._serve, name="queue", daemon=True).start()

    def facts(self, boot_id: str, *, again: bool = False) -> HostFacts:
        """Describe the host; if `again`, after a new look for GPUs that could not be used."""
        living = self._attempts.living()
        queued = sum(attempt.state is RunState.QUEUED for attempt in living)
        if again and self._engine.gpus().problem:
            self._engine.gpus(again=True)
        found = self._engine.gpus()
        return HostFacts(
            boot_id,
            self._engine.name,
            self._capacity.cores,
            self._capacity.memory_bytes,
            self._capacity.slots,
            len(living) - queued,
            queued,
            tuple(gpu.name for gpu in found.gpus),
            found.problem,
        )

    def _look_for_gpus(self) -> None:
        self._capacity.gpus = [gpu.id for gpu in self._engine.gpus().gpus]

    def _serve(self) -> None:
        while True:
            seen = self._pulse.count
            self._look_for_gpus()
            for attempt in self._attempts.living():
                if attempt.state is not RunState.QUEUED or self._capacity.has(attempt.id):
                    continue
                with self._pulse:
                    share = self._capacity.take(attempt.id, attempt.record.spec)
                if share is None:
                    break  # first come, first served
                self._spawn(attempt, share)
            self._pulse.wait(seen, LOOK_S)

    def _spawn(self, attempt: Attempt, share: Share | None) -> None:
        """Conduct an attempt in a thread; without a share it is one that runs already."""

        def conduct() -> None:
            try:
                if share is None:
                    self._conductor.resume(attempt)
                else:
                    self._conductor.conduct(attempt, share)
            except Exception as exc:  # without an end its client would wait for ever
                log.exception("attempt.broken id=%s", attempt.id)
                self._conductor.give_up(attempt, exc)
            finally:
                with self._pulse:
                    self._capacity.give_back(attempt.id)
                    self._pulse.beat()

        threading.Thread(target=conduct, name=f"attempt-{attempt.id}", daemon=True).start()

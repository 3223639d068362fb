"""The host's queue: who waits, who has a slot."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from kernelext.daemon.attempts import Attempt, Attempts
from kernelext.daemon.conductor import Conductor
from kernelext.daemon.pulse import Pulse
from kernelext.models import AttemptId, HostFacts, RunState

LOOK_S = 1.0


@dataclass(frozen=True)
class Share:
    """What of the machine one attempt occupies."""

    cores: float
    memory_bytes: int


class Queue:
    """Starts attempts in the order they came, as far as cores and memory go.

    Parameters
    ----------
    cores, memory_bytes : int
        The machine's.
    slots : int or None
        How many one-core attempts may run side by side; None: one a core.
    """

    def __init__(
        self,
        attempts: Attempts,
        conductor: Conductor,
        pulse: Pulse,
        *,
        cores: int,
        memory_bytes: int,
        slots: int | None,
    ) -> None:
        self._attempts = attempts
        self._conductor = conductor
        self._pulse = pulse
        self._machine_cores = cores
        self._slots = slots or cores
        self._memory_bytes = memory_bytes
        self._taken: dict[AttemptId, Share] = {}

    def begin(self) -> None:
        """Go on with what an earlier daemon left, then serve the queue in a thread."""
        for attempt in self._attempts.living():
            if attempt.state is RunState.RUNNING:
                self._occupy(attempt)
                self._spawn(attempt, resumed=True)
        threading.Thread(target=self._serve, name="queue", daemon=True).start()

    def facts(self, boot_id: str, engine: str) -> HostFacts:
        """Describe the host."""
        living = self._attempts.living()
        queued = sum(attempt.state is RunState.QUEUED for attempt in living)
        return HostFacts(
            boot_id,
            engine,
            self._machine_cores,
            self._memory_bytes,
            self._slots,
            len(living) - queued,
            queued,
        )

    def _serve(self) -> None:
        while True:
            seen = self._pulse.count
            for attempt in self._attempts.living():
                if attempt.state is not RunState.QUEUED or attempt.id in self._taken:
                    continue
                with self._pulse:
                    if not self._fits(self._share(attempt)):
                        break  # first come, first served
                    self._occupy(attempt)
                self._spawn(attempt, resumed=False)
            self._pulse.wait(seen, LOOK_S)

    def _share(self, attempt: Attempt) -> Share:
        spec = attempt.record.spec
        limits = spec.limits
        if spec.whole_host:
            return Share(self._slots, limits.memory_bytes or self._memory_bytes)
        cores = limits.cpus or 1.0
        default_memory = int(self._memory_bytes * min(1.0, cores / self._slots))
        return Share(cores, limits.memory_bytes or default_memory)

    def _fits(self, share: Share) -> bool:
        if not self._taken:
            return True  # what is larger than the machine is refused by the engine itself
        cores = sum(each.cores for each in self._taken.values())
        memory = sum(each.memory_bytes for each in self._taken.values())
        return (
            cores + share.cores <= self._slots and memory + share.memory_bytes <= self._memory_bytes
        )

    def _occupy(self, attempt: Attempt) -> None:
        self._taken[attempt.id] = self._share(attempt)

    def _spawn(self, attempt: Attempt, *, resumed: bool) -> None:
        def conduct() -> None:
            try:
                if resumed:
                    self._conductor.resume(attempt)
                else:
                    self._conductor.conduct(attempt, self._threads(attempt), self._memory(attempt))
            finally:
                with self._pulse:
                    self._taken.pop(attempt.id, None)
                    self._pulse.beat()

        threading.Thread(target=conduct, name=f"attempt-{attempt.id}", daemon=True).start()

    def _threads(self, attempt: Attempt) -> int:
        """Threads for numeric libraries: the cores of the slot."""
        spec = attempt.record.spec
        if spec.limits.cpus:
            return max(1, int(spec.limits.cpus))
        return self._machine_cores if spec.whole_host else 1

    def _memory(self, attempt: Attempt) -> int | None:
        """Return the memory limit: what was asked for, else a fold's part of the machine."""
        spec = attempt.record.spec
        if spec.limits.memory_bytes or spec.whole_host:
            return spec.limits.memory_bytes
        return self._taken[attempt.id].memory_bytes

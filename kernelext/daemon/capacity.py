"""What of the machine each attempt occupies: cores, memory, GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from kernelext.models import ALL_GPUS, AttemptId, RunSpec


@dataclass(frozen=True)
class Share:
    """What one attempt gets.

    Attributes
    ----------
    cores : Fraction or int
        Of the host's slots; exact, so that equal parts fill the host.
    memory_bytes : int
    threads : int
        What numeric libraries are to use.
    limit_bytes : int or None
        The most memory that its container may hold; None for no limit.
    gpus : tuple of str
        Ids of the GPUs that are its own.
    """

    cores: Fraction | int
    memory_bytes: int
    threads: int
    limit_bytes: int | None
    gpus: tuple[str, ...] = ()


class Capacity:
    """One machine, and who has what of it.

    A cell of the whole host has all GPUs, unless it says less; every other fold has those it
    asks for. Where it names GPUs but no cores, its GPUs' part of the cores is its own, and
    likewise of the memory. No GPU is given to two attempts.

    Parameters
    ----------
    cores, memory_bytes : int
        The machine's.
    slots : int or None
        How many one-core attempts may run side by side; None: one a core.

    Attributes
    ----------
    gpus : sequence of str
        Ids of all GPUs that cells may use.
    """

    def __init__(self, cores: int, memory_bytes: int, slots: int | None) -> None:
        self.cores = cores
        self.memory_bytes = memory_bytes
        self.slots = slots or cores
        self.gpus: Sequence[str] = ()
        self._taken: dict[AttemptId, Share] = {}

    def has(self, attempt: AttemptId) -> bool:
        """Whether an attempt occupies something."""
        return attempt in self._taken

    def take(self, attempt: AttemptId, spec: RunSpec) -> Share | None:
        """Occupy what an attempt needs; None when that is not free."""
        taken = {gpu for share in self._taken.values() for gpu in share.gpus}
        free = [gpu for gpu in self.gpus if gpu not in taken]
        wanted = min(self._gpu_count(spec), len(self.gpus))
        if wanted > len(free):
            return None
        share = self._share(spec, tuple(free[:wanted]))
        if self._taken:  # what is larger than the machine is refused by the engine itself
            cores = sum(each.cores for each in self._taken.values()) + share.cores
            memory = sum(each.memory_bytes for each in self._taken.values()) + share.memory_bytes
            if cores > self.slots or memory > self.memory_bytes:
                return None
        self._taken[attempt] = share
        return share

    def keep(self, attempt: AttemptId, spec: RunSpec, gpus: tuple[str, ...]) -> None:
        """Occupy what an attempt has that an earlier daemon started."""
        self._taken[attempt] = self._share(spec, gpus)

    def give_back(self, attempt: AttemptId) -> None:
        """Free what an attempt had."""
        self._taken.pop(attempt, None)

    def _gpu_count(self, spec: RunSpec) -> int:
        asked = spec.limits.gpus
        if asked is None:
            return len(self.gpus) if spec.whole_host else 0
        return len(self.gpus) if asked == ALL_GPUS else asked

    def _share(self, spec: RunSpec, gpus: tuple[str, ...]) -> Share:
        limits = spec.limits
        if spec.whole_host:
            memory = limits.memory_bytes or self.memory_bytes
            threads = max(1, int(limits.cpus)) if limits.cpus else self.cores
            return Share(self.slots, memory, threads, limits.memory_bytes, gpus)
        part = Fraction(len(gpus), len(self.gpus)) if gpus and self.gpus else Fraction(0)
        cores = part * self.slots or Fraction(1)
        if limits.cpus:  # by its text: ten times 0.1 are then 1
            cores = Fraction(str(float(limits.cpus)))
        of_memory = min(Fraction(1), max(part, cores / self.slots))
        memory = limits.memory_bytes or int(self.memory_bytes * of_memory)
        threads = max(1, int(limits.cpus or part * self.cores))
        return Share(cores, memory, threads, memory, gpus)

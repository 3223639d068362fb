"""Which fold goes to which host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kernelext.errors import EngineError
from kernelext.models import ALL_GPUS, HostFacts, Limits


def slots_of(facts: HostFacts, limits: Limits) -> int:
    """Return how many folds of a run fit on a host side by side, at least one."""
    counts = [facts.slots / (limits.cpus or 1.0)]
    if limits.gpus:
        counts.append(1 if limits.gpus == ALL_GPUS else len(facts.gpus) / limits.gpus)
    if limits.memory_bytes:
        counts.append(facts.memory_bytes / limits.memory_bytes)
    return max(1, int(min(counts)))


def require_gpus(host: str, facts: HostFacts, limits: Limits) -> None:
    """Refuse a host that lacks the GPUs that a fold asks for.

    Raises
    ------
    EngineError
    """
    there = len(facts.gpus)
    if not limits.gpus or there >= max(1, limits.gpus):
        return
    asked = "all" if limits.gpus == ALL_GPUS else str(limits.gpus)
    if facts.gpu_problem:
        raise EngineError(f"{host} cannot give the cell GPUs: {facts.gpu_problem}")
    if not there:
        raise EngineError(
            f"{host} has no GPU, and --gpus asks for {asked}; leave --gpus out, or choose a host"
            " that has some by --on"
        )
    raise EngineError(
        f"{host} has {there} GPU{'s' if there > 1 else ''}, and --gpus asks for {asked};"
        " ask for fewer, or choose a larger host by --on"
    )


def place(folds: Sequence[str], slots: Mapping[str, int]) -> dict[str, list[str]]:
    """Spread folds over hosts in proportion to their slots, the first named first.

    Examples
    --------
    >>> place(["0", "1", "2", "3", "4"], {"a": 2, "b": 1})
    {'a': ['0', '2', '3'], 'b': ['1', '4']}
    """
    placed: dict[str, list[str]] = {host: [] for host in slots}
    order = list(slots)
    for fold in folds:
        host = min(order, key=lambda name: (len(placed[name]) / slots[name], order.index(name)))
        placed[host].append(fold)
    return placed

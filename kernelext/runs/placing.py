"""Which fold goes to which host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kernelext.models import HostFacts, Limits


def slots_of(facts: HostFacts, limits: Limits) -> int:
    """Return how many folds of a run fit on a host side by side, at least one."""
    counts = [facts.slots / (limits.cpus or 1.0)]
    if limits.memory_bytes:
        counts.append(facts.memory_bytes / limits.memory_bytes)
    return max(1, int(min(counts)))


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

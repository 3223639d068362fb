"""Takes times: samples, rounds in which contenders take turns, ratios within a round."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Action = Callable[[], object]


@dataclass(frozen=True)
class Sample:
    """What was measured, in the order it was measured."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    @property
    def minimum(self) -> float:
        """The smallest: what an idle machine would show more often."""
        return min(self.values)

    def percentile(self, percent: float) -> float:
        """Return the value that `percent` of all do not exceed (nearest rank)."""
        ordered = sorted(self.values)
        rank = -(-len(ordered) * percent // 100)
        return ordered[max(0, int(rank) - 1)]

    def per(self, other: Sample) -> Sample:
        """Divide by another contender's sample, round by round."""
        pairs = zip(self.values, other.values, strict=True)
        return Sample(tuple(mine / theirs for mine, theirs in pairs))


def seconds(action: Action) -> float:
    """Return how long `action` takes."""
    began_s = time.perf_counter()
    action()
    return time.perf_counter() - began_s


def take_turns(rounds: int, contenders: Mapping[str, Action], settle: Action) -> dict[str, Sample]:
    """Let every contender run once a round, so that all see the same weather.

    Parameters
    ----------
    rounds : int
    contenders : mapping of str to callable
        An action whose time counts; one that returns a float has measured itself, in seconds.
    settle : callable
        Called before each, not timed: what the one before left must not slow the next.

    Returns
    -------
    dict of str to Sample
        Seconds.
    """
    values: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, action in contenders.items():
            settle()
            began_s = time.perf_counter()
            measured_s = action()
            taken_s = time.perf_counter() - began_s
            values[name].append(measured_s if isinstance(measured_s, float) else taken_s)
    return {name: Sample(tuple(taken)) for name, taken in values.items()}

"""Divides variables that share objects into files, of which one refers to another's variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from kernelext.values.disjoint import DisjointSets
from kernelext.values.sharing import objects_in


@dataclass(frozen=True)
class Bundle:
    """Variables of one file.

    Attributes
    ----------
    names : tuple of str
        More than one where they share what is no variable itself, or hold each other.
    refers : mapping of int to str
        The variables of other files that these hold, by the ids of their objects.
    """

    names: tuple[str, ...]
    refers: Mapping[int, str]


def bundles_of(values: Mapping[str, object]) -> list[Bundle]:
    """Divide variables so that a file refers only to those before it.

    Of several names of one object only the first is in a bundle.
    """
    tops = {id(value): name for name, value in reversed(list(values.items()))}
    names = [name for name, value in values.items() if tops[id(value)] == name]
    sets = DisjointSets(names)
    refers: dict[str, list[str]] = {name: [] for name in names}
    owner: dict[int, str] = {}
    held: list[object] = []
    for name in names:
        for part in objects_in(values[name], held, tops):
            if part is values[name]:
                continue
            if id(part) in tops:
                refers[name].append(tops[id(part)])
            else:
                sets.join(owner.setdefault(id(part), name), name)
    order = _order(sets, refers)
    members = sets.sets()
    return [
        Bundle(
            tuple(members[leader]),
            {
                id(values[other]): other
                for name in members[leader]
                for other in refers[name]
                if sets.leader(other) != leader
            },
        )
        for leader in order
    ]


def _order(sets: DisjointSets, refers: Mapping[str, list[str]]) -> list[str]:
    """Return the leaders, those that are referred to first; join what refers in a circle."""
    while True:
        graph: dict[str, list[str]] = {leader: [] for leader in sets.sets()}
        for name, others in refers.items():
            leader = sets.leader(name)
            leaders = dict.fromkeys(map(sets.leader, others))
            graph[leader] += [other for other in leaders if other != leader]
        try:
            return list(TopologicalSorter(graph).static_order())
        except CycleError as exc:
            first, *rest = exc.args[1]
            for name in set(rest) - {first}:
                sets.join(first, name)

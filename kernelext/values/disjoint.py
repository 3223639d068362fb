"""Sets of names that are joined step by step."""

from __future__ import annotations

from collections.abc import Iterable


class DisjointSets:
    """Every name is in one set, which one of its names stands for.

    Parameters
    ----------
    names : iterable of str
        Each in a set of its own, at first.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._parent = {name: name for name in names}

    def leader(self, name: str) -> str:
        """Return the name that stands for a name's set."""
        while self._parent[name] != name:
            name = self._parent[name]
        return name

    def join(self, one: str, other: str) -> None:
        """Make one set of two; the leader of `one` stands for it."""
        self._parent[self.leader(other)] = self.leader(one)

    def sets(self) -> dict[str, list[str]]:
        """Return the names of each set by its leader, all in their order."""
        found: dict[str, list[str]] = {}
        for name in self._parent:
            found.setdefault(self.leader(name), []).append(name)
        return found

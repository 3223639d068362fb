"""Holds what a cell has surely and perhaps bound at one point of its run; walks nothing."""

from __future__ import annotations

from collections.abc import Iterable


class State:
    """The names of the module at one point of the cell.

    `replaced` holds names whose value from the notebook is surely gone: bound or deleted by the
    cell since. It only grows along a path, so one walk through a loop is enough. `present` holds
    names that the cell may have bound and not deleted.
    """

    __slots__ = ("alive", "present", "replaced")

    def __init__(self, replaced: Iterable[str] = (), present: Iterable[str] = ()) -> None:
        self.alive = True
        self.replaced = set(replaced)
        self.present = set(present)

    def copy(self) -> State:
        """Return an independent state of the same names."""
        copy = State(self.replaced, self.present)
        copy.alive = self.alive
        return copy


class Loop:
    """The states in which the body of one loop leaves it early."""

    __slots__ = ("breaks", "continues")

    def __init__(self) -> None:
        self.breaks: list[State] = []
        self.continues: list[State] = []


def join(states: Iterable[State]) -> State:
    """Merge the states of paths that meet.

    Parameters
    ----------
    states : iterable of State
        One a path; those that cannot be reached do not count.

    Returns
    -------
    State
        What holds on every path; not alive when no path arrives.
    """
    states = list(states)
    arriving = [state for state in states if state.alive]
    if not arriving:
        dead = states[0].copy()
        dead.alive = False
        return dead
    joined = arriving[0].copy()
    for state in arriving[1:]:
        joined.replaced &= state.replaced
        joined.present |= state.present
    return joined

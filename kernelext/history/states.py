"""How the states of folds make the state of their run."""

from __future__ import annotations

from collections.abc import Iterable

from kernelext.models import STATE_ORDER, RunState

_WORST_FIRST = (RunState.FAILED, RunState.LOST, RunState.CANCELLED)


def run_state(states: Iterable[RunState]) -> RunState:
    """Derive a run's state from the states of its folds.

    Parameters
    ----------
    states : iterable of RunState
        One a fold, in any order.

    Returns
    -------
    RunState
        The earliest unfinished one; if all have ended ``failed`` if any failed, else ``lost``,
        else ``cancelled``, else ``done``. No folds at all count as ``done``.

    Examples
    --------
    >>> run_state([RunState.DONE, RunState.RUNNING, RunState.QUEUED]).value
    'queued'
    >>> run_state([RunState.DONE, RunState.CANCELLED, RunState.LOST]).value
    'lost'
    """
    present = set(states)
    for state in STATE_ORDER:
        if state in present and not state.is_final:
            return state
    return next((state for state in _WORST_FIRST if state in present), RunState.DONE)

"""How the states of folds make the state of their run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelext.history import run_state
from kernelext.models import FINAL_STATES, STATE_ORDER, RunState

states = st.lists(st.sampled_from(RunState), min_size=1, max_size=20)


@given(states)
def test_run_state_is_final_only_when_every_fold_is(found: list[RunState]) -> None:
    assert run_state(found).is_final == all(state.is_final for state in found)


@given(states)
def test_run_state_is_one_of_the_folds_in_any_order(found: list[RunState]) -> None:
    assert run_state(found) in found
    assert run_state(found) == run_state(reversed(found)) == run_state(set(found))


@given(states)
def test_run_state_is_the_earliest_unfinished_state(found: list[RunState]) -> None:
    unfinished = [state for state in found if not state.is_final]
    if unfinished:
        assert run_state(found) == min(unfinished, key=STATE_ORDER.index)


@pytest.mark.parametrize(
    ("worst", "others"),
    [
        (RunState.FAILED, FINAL_STATES),
        (RunState.LOST, FINAL_STATES - {RunState.FAILED}),
        (RunState.CANCELLED, {RunState.CANCELLED, RunState.DONE}),
        (RunState.DONE, {RunState.DONE}),
    ],
)
def test_run_state_of_ended_folds_is_the_worst(worst: RunState, others: set[RunState]) -> None:
    assert run_state(others) == worst


def test_run_state_without_folds_is_done() -> None:
    assert run_state([]) == RunState.DONE

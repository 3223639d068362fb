"""Folds go where there is room."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelext.models import HostFacts, Limits
from kernelext.runs.placing import place, slots_of

GIGABYTE = 1024**3


@given(
    st.lists(st.integers(0, 99), unique=True, max_size=30),
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 8), min_size=1),
)
def test_every_fold_is_placed_once_and_in_proportion(folds: list[int], slots: dict) -> None:
    names = [str(fold) for fold in folds]
    placed = place(names, slots)
    assert sorted(fold for some in placed.values() for fold in some) == sorted(names)
    rounds = {host: len(some) / slots[host] for host, some in placed.items()}
    assert max(rounds.values()) <= min(rounds.values()) + 1


@pytest.mark.parametrize(
    ("limits", "slots"),
    [
        (Limits(), 8),
        (Limits(cpus=2), 4),
        (Limits(cpus=3), 2),
        (Limits(memory_bytes=8 * GIGABYTE), 4),
        (Limits(cpus=0.5, memory_bytes=GIGABYTE), 16),
        (Limits(memory_bytes=64 * GIGABYTE), 1),
    ],
)
def test_slots_are_what_cores_and_memory_allow(limits: Limits, slots: int) -> None:
    assert slots_of(HostFacts("b", "docker", 8, 32 * GIGABYTE, 8), limits) == slots

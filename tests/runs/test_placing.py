"""Folds go where there is room."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelext.errors import EngineError
from kernelext.models import ALL_GPUS, HostFacts, Limits, to_json
from kernelext.runs.placing import place, require_gpus, slots_of

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
        (Limits(gpus=0), 8),
        (Limits(gpus=1), 4),
        (Limits(gpus=2), 2),
        (Limits(gpus=3), 1),
        (Limits(gpus=1, cpus=4), 2),
        (Limits(gpus=ALL_GPUS), 1),
    ],
)
def test_slots_are_what_cores_memory_and_gpus_allow(limits: Limits, slots: int) -> None:
    assert slots_of(host_with(4), limits) == slots


def host_with(gpus: int, problem: str = "") -> HostFacts:
    names = ("NVIDIA L4",) * gpus
    return HostFacts("b", "docker", 8, 32 * GIGABYTE, 8, gpus=names, gpu_problem=problem)


@pytest.mark.parametrize(
    ("facts", "asked"),
    [(host_with(0), None), (host_with(0), 0), (host_with(2), 2), (host_with(1), ALL_GPUS)],
)
def test_host_with_the_gpus_asked_for_is_taken(facts: HostFacts, asked: int | None) -> None:
    require_gpus("host01", facts, Limits(gpus=asked))


@pytest.mark.parametrize(
    ("facts", "asked", "sentence"),
    [
        (host_with(0), 2, "host01 has no GPU, and --gpus asks for 2; leave --gpus out, or"),
        (host_with(0), ALL_GPUS, "host01 has no GPU, and --gpus asks for all; leave"),
        (host_with(1), 2, "host01 has 1 GPU, and --gpus asks for 2; ask for fewer, or"),
        (host_with(2), 4, "host01 has 2 GPUs, and --gpus asks for 4; ask for fewer, or"),
        (host_with(0, "no runtime"), 1, "host01 cannot give the cell GPUs: no runtime"),
    ],
)
def test_host_without_the_gpus_asked_for_is_refused(
    facts: HostFacts, asked: int, sentence: str
) -> None:
    with pytest.raises(EngineError) as caught:
        require_gpus("host01", facts, Limits(gpus=asked))
    assert str(caught.value).startswith(sentence)


def test_gpus_of_a_host_travel() -> None:
    assert HostFacts.from_json(json.loads(json.dumps(to_json(host_with(2))))) == host_with(2)

"""Who gets which part of the machine; no GPU is ever given twice."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kernelext.daemon.capacity import Capacity, Share
from kernelext.models import ALL_GPUS, AttemptId, Limits, RunSpec

GIGABYTE = 1024**3
GPUS = ("GPU-a", "GPU-b", "GPU-c", "GPU-d")


def spec(*, whole: bool = False, **limits: float | None) -> RunSpec:
    return RunSpec("run", "me", "t", "x", "f", limits=Limits(**limits), whole_host=whole)


def attempt(number: int) -> AttemptId:
    return AttemptId("run", str(number), 1)


@pytest.fixture
def capacity() -> Capacity:
    """Sixteen cores, 64 GB and four GPUs."""
    made = Capacity(16, 64 * GIGABYTE, None)
    made.gpus = GPUS
    return made


@pytest.mark.parametrize(
    ("asked", "share"),
    [
        (spec(whole=True), Share(16, 64 * GIGABYTE, 16, None, GPUS)),
        (spec(whole=True, gpus=0), Share(16, 64 * GIGABYTE, 16, None)),
        (spec(whole=True, gpus=ALL_GPUS), Share(16, 64 * GIGABYTE, 16, None, GPUS)),
        (spec(), Share(1, 4 * GIGABYTE, 1, 4 * GIGABYTE)),
        (spec(cpus=2), Share(2, 8 * GIGABYTE, 2, 8 * GIGABYTE)),
        (spec(gpus=1), Share(4, 16 * GIGABYTE, 4, 16 * GIGABYTE, GPUS[:1])),
        (spec(gpus=2, cpus=1), Share(1, 32 * GIGABYTE, 1, 32 * GIGABYTE, GPUS[:2])),
        (spec(gpus=1, memory_bytes=GIGABYTE), Share(4, GIGABYTE, 4, GIGABYTE, GPUS[:1])),
        (spec(gpus=ALL_GPUS), Share(16, 64 * GIGABYTE, 16, 64 * GIGABYTE, GPUS)),
    ],
)
def test_share_is_what_the_cell_asks_for(capacity: Capacity, asked: RunSpec, share: Share) -> None:
    assert capacity.take(attempt(0), asked) == share


def test_folds_of_one_gpu_fill_the_host_with_a_gpu_each(capacity: Capacity) -> None:
    shares = [capacity.take(attempt(number), spec(gpus=1)) for number in range(5)]
    assert [share.gpus for share in shares if share] == [(gpu,) for gpu in GPUS]
    assert shares[4] is None
    capacity.give_back(attempt(2))
    freed = capacity.take(attempt(4), spec(gpus=1))
    assert freed is not None
    assert freed.gpus == (GPUS[2],)


def test_fold_without_gpus_runs_beside_those_with_all(capacity: Capacity) -> None:
    assert capacity.take(attempt(0), spec(gpus=ALL_GPUS, cpus=1, memory_bytes=GIGABYTE))
    beside = capacity.take(attempt(1), spec(cpus=1, memory_bytes=GIGABYTE))
    assert beside is not None
    assert beside.gpus == ()
    assert capacity.take(attempt(2), spec(gpus=1, cpus=1, memory_bytes=GIGABYTE)) is None


def test_adopted_attempt_keeps_its_gpus(capacity: Capacity) -> None:
    capacity.keep(attempt(0), spec(gpus=2), GPUS[1:3])
    share = capacity.take(attempt(1), spec(gpus=2))
    assert share is not None
    assert share.gpus == (GPUS[0], GPUS[3])


def test_more_gpus_than_there_are_get_what_there_is(capacity: Capacity) -> None:
    capacity.gpus = ()  # the runtime has gone since the cell was queued
    share = capacity.take(attempt(0), spec(gpus=2))
    assert share is not None
    assert share.gpus == ()


ASKED = st.builds(
    lambda whole, gpus, cpus: spec(whole=whole, gpus=gpus, cpus=cpus),
    st.booleans(),
    st.sampled_from([None, 0, 1, 2, 4, ALL_GPUS]),
    st.sampled_from([None, 0.5, 8]),
)


@given(st.lists(st.tuples(ASKED, st.booleans()), max_size=12))
def test_no_gpu_is_given_twice(asked: list[tuple[RunSpec, bool]]) -> None:
    """Each attempt comes, and goes again after the next one or stays."""
    capacity = Capacity(16, 64 * GIGABYTE, None)
    capacity.gpus = GPUS
    held: dict[AttemptId, Share] = {}
    for number, (each, one_goes) in enumerate(asked):
        share = capacity.take(attempt(number), each)
        if share is not None:
            held[attempt(number)] = share
        given_out = [gpu for share in held.values() for gpu in share.gpus]
        assert len(given_out) == len(set(given_out))
        assert sum(share.cores for share in held.values()) <= 16
        if held and one_goes:
            gone = next(iter(held))
            capacity.give_back(gone)
            del held[gone]
    for gone in held:
        capacity.give_back(gone)
    assert capacity.take(attempt(99), spec(whole=True)) is not None


@settings(deadline=None, derandomize=True)
@given(gpus=st.integers(1, 8), cores=st.integers(1, 128), slots=st.none() | st.integers(1, 128))
@example(gpus=5, cores=24, slots=None)
@example(gpus=5, cores=48, slots=None)
@example(gpus=5, cores=96, slots=None)
def test_a_fold_a_gpu_fills_any_host(gpus: int, cores: int, slots: int | None) -> None:
    capacity = Capacity(cores, 64 * GIGABYTE + 1, slots)
    capacity.gpus = [str(number) for number in range(gpus)]
    shares = [capacity.take(attempt(number), spec(gpus=1)) for number in range(gpus)]
    assert [share.gpus for share in shares if share] == [(gpu,) for gpu in capacity.gpus]
    assert sum(share.memory_bytes for share in shares if share) <= 64 * GIGABYTE + 1


@pytest.mark.parametrize("cores", [1, 3, 8])
def test_folds_of_a_tenth_of_a_core_fill_it(cores: int) -> None:
    capacity = Capacity(cores, 64 * GIGABYTE, None)
    shares = [capacity.take(attempt(n), spec(cpus=0.1)) for n in range(10 * cores + 1)]
    assert None not in shares[:-1]
    assert shares[-1] is None

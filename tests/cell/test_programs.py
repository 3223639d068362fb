"""What reading a cell finds, judged by really running it."""

from __future__ import annotations

import warnings
from random import Random

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from kernelext.cell import read_cell
from kernelext.errors import CellSyntaxError
from tests.cell.programs import NAMES, Writer, run


def check_program(source: str, seed: int) -> bool:
    """Compare what a program does with what reading it finds; False where it is no Python."""
    try:
        names = read_cell(source)
    except CellSyntaxError:
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        notebook, end = run(source, seed, set(NAMES))
        remote, remote_end = run(source, seed, set(NAMES) & set(names.inputs))
    assert notebook.read <= set(names.inputs)
    # The cell runs the same way where only its inputs are.
    assert remote_end == end
    assert remote.bound() == notebook.bound()
    if not end:
        assert notebook.bound() <= set(names.outputs)
    return True


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(random=st.randoms(use_true_random=False), seed=st.integers(0, 3))
def test_read_cell_finds_what_a_generated_program_reads_and_binds(
    random: Random, seed: int
) -> None:
    assume(check_program(Writer(random).write(), seed))


@pytest.mark.parametrize("start", range(0, 1200, 300))
def test_read_cell_finds_what_many_programs_read_and_bind(start: int) -> None:
    # Plain seeds go through ten times as many programs in the time that shrinking ones take.
    checked = [
        check_program(Writer(Random(seed)).write(), seed) for seed in range(start, start + 300)
    ]
    assert sum(checked) > 200


def test_run_notes_reads_of_functions() -> None:
    notebook, end = run("def f():\n    return a, c\nb\nc = 1\ncall(f)", 0, set(NAMES))
    assert (notebook.read, notebook.bound(), end) == ({"a", "b"}, {"c", "f"}, "")

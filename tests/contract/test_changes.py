"""Changed inputs come home: cells written by chance leave what they leave in plain IPython."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from .mutations import NAMES, SETUP, SHARED, Describer, write_cell
from .notebook import Notebook


def outcome(notebook: Notebook, setup: str, cell: str, *, sees_sharing: bool) -> dict[str, str]:
    """Run a cell in an emptied notebook and describe what it printed and left."""
    kept = set(notebook.names)
    notebook.check(setup)
    shown = notebook.run(cell)
    describer = Describer(sees_sharing=sees_sharing)
    names = sorted(name for name in notebook.names if name not in kept and name[0] != "_")
    found = {name: describer.describe(notebook.names[name]) for name in names}
    for name in names:
        del notebook.names[name]
    return {**found, "printed": shown.stdout, "error": repr(shown.error)}


def check_cell(notebook: Notebook, host: str, seed: int, *, is_shared: bool) -> None:
    """Compare what one cell leaves here and there."""
    cell = write_cell(Random(seed), 6)
    setup = SETUP
    if is_shared:  # what shares objects with what the cell reads is named in it
        setup += SHARED
        cell = f"_ = {', '.join((*NAMES, 'alias', 'other', 'pair'))}\n{cell}"
    here = outcome(notebook, setup, cell, sees_sharing=is_shared)
    there = outcome(notebook, setup, f"%%remote {host}\n{cell}", sees_sharing=is_shared)
    differing = {
        name: (here.get(name), there.get(name))
        for name in {**here, **there}
        if here.get(name) != there.get(name)
    }
    assert not differing, f"seed {seed}: {differing}\n{cell}"


@pytest.mark.parametrize("is_shared", [False, True])
def test_changes_come_home(notebook: Notebook, host: str, *, is_shared: bool) -> None:
    @settings(
        max_examples=25,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],  # a smaller seed is no smaller cell
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(seed=st.integers(0, 100_000))
    def check(seed: int) -> None:
        check_cell(notebook, host, seed, is_shared=is_shared)

    check()

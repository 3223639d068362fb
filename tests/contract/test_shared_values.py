"""Values that hold each other: what a cell changes in them is seen by all that hold them here."""

from __future__ import annotations

import pytest

from .notebook import Notebook

ARRAYS = "import numpy as np\nA = np.zeros(3)\nB = {'a': A}\nview = A[:2]\nholder = (A, B)"
LISTS = "A = [1]\nB = {'a': A, 'n': [A]}\nholder = (A, B)"


@pytest.mark.parametrize(
    ("setup", "cell", "shown"),
    [
        (ARRAYS, "A[0] = 5\nB", "view[0], B['a'] is A, holder[0] is A, holder[1] is B"),
        (LISTS, "A.append(3)\nB['k'] = 1", "A, B, B['a'] is A, holder[0] is A, holder[1] is B"),
        (LISTS, "B['n'].append(A)\nC = [A, B]", "B, C[0] is A, C[1] is B, B['n'][1] is A"),
        (LISTS, "A.append(B)\nB['k'] = 1", "A[1] is B, holder[0] is A, holder[1] is B"),
        (LISTS, "A = [9]\nB['a'] = A", "A, B['a'] is A, holder[0], holder[1] is B"),
        (LISTS, "B['s'] = {3}\nA.append(2)", "A, B, B['a'] is A"),
    ],
)
def test_change_is_seen_by_all_that_hold_it(
    notebook: Notebook, host: str, setup: str, cell: str, shown: str
) -> None:
    seen = []
    for head in ("", f"%%remote {host}\n"):
        notebook.check(setup)
        notebook.check(head + cell)
        notebook.check(f"seen = repr(({shown}))")
        seen.append(notebook.names["seen"])
    assert seen[1] == seen[0]

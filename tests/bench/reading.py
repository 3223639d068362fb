"""How long it takes to read a cell for the names that it takes and makes."""

from __future__ import annotations

import functools

from kernelext.cell import read_cell

from .report import Row, Section
from .scene import Scene
from .timing import Sample, seconds

REPEATS = 30
BLOCK = """\
def score_{n}(params, fold=0):
    \"\"\"Fit one model and score it.\"\"\"
    train, valid = splits[fold]
    model = make_model(**params, seed={n})
    model.fit(X[train], y[train])
    errors = [abs(a - b) for a, b in zip(model.predict(X[valid]), y[valid])]
    return sum(errors) / max(1, len(errors)) + offsets.get({n}, 0.0)
results_{n} = {{name: score_{n}(grid[name]) for name in sorted(grid)}}
best_{n}, *others_{n} = sorted(results_{n}.items(), key=lambda pair: pair[1])
table.loc[{n}, "best"] = best_{n}[1]
"""
CELL = "".join(BLOCK.format(n=n) for n in range(20))


AIM_MS = 5.0


def measure(scene: Scene) -> Section:
    """Read a cell of 200 lines again and again, with a line of it edited."""
    lines = len(CELL.splitlines())
    read_cell(CELL)
    edits = {
        "a line edited": [CELL.replace("seed=10)", f"seed={n + 100})") for n in range(REPEATS)],
        "a line added": [
            CELL.replace("def score_10", f"extra_{n} = 1\ndef score_10") for n in range(REPEATS)
        ],
        # Names that no earlier cell has: nothing of it was read before.
        "never seen": [CELL.replace("best", f"best_{n}") for n in range(REPEATS)],
        "run again": [CELL] * REPEATS,
    }
    aims = {"a line edited": AIM_MS}
    rows = []
    for name, texts in edits.items():
        sample = Sample(tuple(seconds(functools.partial(read_cell, text)) for text in texts))
        rows.append(Row(f"{lines} lines, {name}", sample, at_most=aims.get(name)))
    return Section("5. Reading a cell for its names", rows)

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


def measure(scene: Scene) -> Section:
    """Read a cell of 200 lines again and again."""
    lines = len(CELL.splitlines())
    read_cell(CELL)
    edited = [f"{CELL}# edit {n}" for n in range(REPEATS)]
    new = Sample(tuple(seconds(functools.partial(read_cell, text)) for text in edited))
    again = Sample(tuple(seconds(lambda: read_cell(CELL)) for _ in range(REPEATS)))
    rows = [Row(f"{lines} lines, edited", new), Row(f"{lines} lines, run again", again)]
    return Section("5. Reading a cell for its names", rows)

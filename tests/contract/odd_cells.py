"""Reads the table of odd cells: what a notebook holds, a cell, and what is asked afterwards."""

from __future__ import annotations

import re
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .notebook import Notebook

FOLDER = Path(__file__).parent / "cells"
SECTIONS = tuple(sorted(path.stem for path in FOLDER.glob("*.txt")))
STATUS = re.compile(r"|\S+: \w+ for \d+ s")  # a slow host says what it waits for
ADDRESS = re.compile("0x[0-9a-f]+")


@dataclass(frozen=True)
class OddCell:
    """One row of the table."""

    title: str
    before: str
    cell: str
    after: str


def read_section(name: str) -> list[OddCell]:
    """Read the rows of one file: `#%% title`, `#% cell` and perhaps `#% after`."""
    text = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    rows = []
    for part in text.split("#%% ")[1:]:
        title, _, rest = part.partition("\n")
        before, _, rest = rest.partition("#% cell\n")
        cell, _, after = rest.partition("#% after\n")
        rows.append(OddCell(title, before, cell.rstrip("\n"), after))
    return rows


def play(notebook: Notebook, row: OddCell, magic: str) -> dict[str, object]:
    """Run a row in an emptied notebook and return all that can be seen of it."""
    kept = set(notebook.names)
    if row.before:
        notebook.check(row.before)
    shown = notebook.run(magic + row.cell)
    after = notebook.run(row.after)
    found: dict[str, object] = {
        f"name {name}": describe(value)
        for name, value in notebook.names.items()
        if name not in kept and not name.startswith("_")
    }
    error = shown.error
    found["error"] = f"{type(error).__name__}: {error}"
    found["stdout"] = shown.stdout
    found["results"] = [_text(each) for each in shown.results]
    found["displays"] = [text for text in shown.tables if not STATUS.fullmatch(text)]
    found["after"] = [_text(each) for each in after.results] + [repr(after.error)]
    for name in set(notebook.names) - kept:
        if not name.startswith("_"):
            del notebook.names[name]
    return found


def _text(bundle: dict[str, Any]) -> str:
    return ADDRESS.sub("0x", str(bundle["text/plain"]))


def describe(value: object) -> str:
    """Spell a value so that equal ones read the same, wherever they were made."""
    if isinstance(value, types.ModuleType):
        return f"module {value.__name__}"
    if isinstance(value, type):
        return f"class {value.__qualname__} {sorted(n for n in vars(value) if n[:2] != '__')}"
    if isinstance(value, types.FunctionType):
        return f"function {value.__qualname__}"
    if type(value).__repr__ is object.__repr__ and hasattr(value, "__dict__"):
        return f"{type(value)} { {name: describe(part) for name, part in vars(value).items()} }"
    return f"{type(value)} {ADDRESS.sub('0x', repr(value))}"

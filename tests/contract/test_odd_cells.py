"""Every kind of Python: a cell leaves on any host what it leaves in plain IPython."""

from __future__ import annotations

import pytest

from kernelext.errors import CellSyntaxError

from ..lab.host import Host
from .notebook import Notebook
from .odd_cells import SECTIONS, play, read_section


@pytest.mark.parametrize("section", SECTIONS)
def test_odd_cells_leave_what_they_leave_here(notebook: Notebook, host: str, section: str) -> None:
    rows = read_section(section)
    assert rows
    differences = []
    for row in rows:
        here = play(notebook, row, "")
        there = play(notebook, row, f"%%remote {host}\n")
        differences += [
            f"{row.title}: {what}: here {here.get(what)}, there {there.get(what)}"
            for what in {**here, **there}
            if here.get(what) != there.get(what)
        ]
    assert not differences, "\n".join(differences)


def test_folds_leave_the_notebooks_names_alone(notebook: Notebook, host: str) -> None:
    notebook.check("kept = [1]\ndef add():\n    add.calls = 1")
    notebook.check(f"%%folds 0-1 --on {host}\nadd()\nmade = kept[0] + fold\ndel kept")
    assert notebook.names["kept"] == [1]
    assert notebook.names["made"] == {0: 1, 1: 2}


def test_deleted_name_stays_where_out_does_not_ask(notebook: Notebook, host: str) -> None:
    notebook.check("big = [1]")
    notebook.check(f"%%remote {host} --out size\nsize = len(big)\ndel big")
    assert (notebook.names["size"], notebook.names["big"]) == (1, [1])


@pytest.mark.lab
def test_magic_is_refused_where_the_image_has_no_ipython(
    lab_notebook: Notebook, lab_names: list[Host]
) -> None:
    lab_notebook.check("a = 1")
    shown = lab_notebook.run("%%remote host01 --image python:3.11-slim\nx = 1\n!echo {a}")
    assert isinstance(shown.error, CellSyntaxError)
    assert "line 3, `!echo {a}`, needs IPython, which the image on host01" in str(shown.error)
    assert "--image" in str(shown.error)
    assert "x" not in lab_notebook.names
    lab_notebook.check("%%remote host01 --image python:3.11-slim\nx = a + 1\nx;")
    assert lab_notebook.names["x"] == 2

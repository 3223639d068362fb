"""A cell on `local` for whom the rights of files count closes its folders, and it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kernelext.link.local import local_state_dir

from .conftest import check_nothing_left_here, retire_local, wait_until
from .unprivileged import unprivileged

NOTEBOOK = """
import sys
from tests.contract.notebook import Notebook

with Notebook() as notebook:
    for source in sys.argv[1:]:
        shown = notebook.run(source)
        print(shown.stdout, shown.stderr, shown.traceback, *shown.displays, sep="\\n")
    print("x =", notebook.names.get("x"))
"""
CLOSES = """\
%%remote local
import os
os.makedirs("data/output/below", exist_ok=True)
open("data/output/below/file", "w").write("x")
x = 1
os.chmod({folder!r}, 0)
"""


@pytest.mark.parametrize("folder", ["data", "data/output", "data/output/below", "."])
def test_cell_that_closes_a_folder_ends_and_leaves_nothing(
    project: Path, tmp_path: Path, folder: str
) -> None:
    home = tmp_path / "home"
    argv = [*unprivileged(), sys.executable, "-c", NOTEBOOK]
    argv += [CLOSES.format(folder=folder), "%remote gc local --older-than 0"]
    environment = {**os.environ, "KERNELEXT_DATA": str(home)}
    state_dir = local_state_dir(home)
    try:
        done = subprocess.run(
            argv, cwd=project, env=environment, capture_output=True, text=True, timeout=60
        )
        assert "x = 1" in done.stdout, done.stdout + done.stderr
        assert "Permission denied" in done.stdout + done.stderr
        check_nothing_left_here(state_dir)
        wait_until(lambda: not list((state_dir / "incoming").iterdir()), "its files to go")
    finally:
        retire_local(state_dir)

"""Cells that are not Python: files in and out, output as it comes, an honest end."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from kernelext.errors import OptionError, RemoteCellError
from kernelext.history import History
from kernelext.history.paths import history_path

from ..lab.lab import Lab
from .conftest import check_nothing_left
from .interrupts import CtrlC, printed
from .notebook import Notebook
from .test_failures import fail, sentence

BASH = """%%remote {} --lang bash
for word in $(cat data/input/words.txt); do echo "said $word"; done
echo aside >&2
mkdir -p data/output && rev data/input/words.txt > data/output/reversed.txt"""


def test_files_go_in_and_come_home(notebook: Notebook, host: str, project: Path) -> None:
    (project / "data/input").mkdir(parents=True)
    (project / "data/input/words.txt").write_text("one two\n")
    shown = notebook.check(BASH.format(host))
    assert shown.stdout == "said one\nsaid two\n"
    assert shown.stderr == "aside\n"
    assert (project / "data/output/reversed.txt").read_text() == "owt eno\n"
    with History.open(history_path(os.environ)) as history:
        assert BASH.partition("\n")[2] in history.run("last").code


def test_output_comes_while_it_runs_and_ctrl_c_ends_it(notebook: Notebook, host: str) -> None:
    with CtrlC(printed("begun")):
        shown = notebook.run(f"%%remote {host} --lang bash\necho begun\nsleep 60\necho never")
    assert isinstance(shown.error, KeyboardInterrupt)
    assert "never" not in shown.stdout


def test_failure_raises_here(notebook: Notebook, host: str) -> None:
    shown = fail(notebook, f"%%remote {host} --lang bash\necho why >&2\nexit 3")
    assert isinstance(shown.error, RemoteCellError)
    assert str(shown.error) == "bash ended with exit code 3"
    assert shown.stderr == "why\n"
    assert shown.traceback.strip() == "ScriptError: bash ended with exit code 3"


@pytest.mark.parametrize("host", [pytest.param("host01", marks=pytest.mark.lab)], indirect=True)
def test_program_that_is_not_there(notebook: Notebook, host: str) -> None:
    shown = fail(notebook, f"%%remote {host} --lang r\ncat(1)")
    assert "there is no Rscript here: name an image that has it" in str(shown.error)


def test_folds_find_their_number(notebook: Notebook, host: str, project: Path) -> None:
    notebook.check(
        f"%%folds 0-2 --on {host} --lang bash\nmkdir -p data/output\necho $FOLD > data/output/$FOLD"
    )
    found = {file.name: file.read_text() for file in (project / "data/output").iterdir()}
    assert found == {str(fold): f"{fold}\n" for fold in range(3)}


def test_variables_do_not_travel(notebook: Notebook, host: str) -> None:
    notebook.check("x = 1")
    shown = fail(notebook, f"%%remote {host} --lang bash --in x\necho $x")
    assert isinstance(shown.error, OptionError)
    assert "a cell of bash takes and leaves files, no variables" in sentence(shown)


R = """%%remote host01 --lang r --image {}
words <- readLines("data/input/words.txt")
cat("read", length(words), "line\\n")
dir.create("data/output", recursive = TRUE)
writeLines(toupper(words), "data/output/upper.txt")"""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("host", [pytest.param("host01", marks=pytest.mark.lab)], indirect=True)
def test_r_in_the_image_of_its_recipe(
    notebook: Notebook, host: str, project: Path, lab: Lab
) -> None:
    """Built here of Debian's packages: the host reaches no mirror."""
    (project / "data/input").mkdir(parents=True)
    (project / "data/input/words.txt").write_text("one two\n")
    said = notebook.check("%remote image build r --on host01").stdout
    (image,) = re.findall(r"kernelext/r:\w+", said)
    shown = notebook.check(R.format(image))
    assert shown.stdout == "read 1 line\n"
    assert (project / "data/output/upper.txt").read_text() == "ONE TWO\n"
    shown = fail(notebook, f"%%remote host01 --lang r --image {image}\nstop('no luck')")
    assert "no luck" in shown.stderr
    assert str(shown.error) == "Rscript ended with exit code 1"
    check_nothing_left(lab.host(host))
    notebook.check(f"%remote image rm {image} --on host01")

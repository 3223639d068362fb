"""The examples run as they are, on `local` and on the lab's hosts, and give what they promise."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
import numpy as np
import pytest

from examples.demo import EXAMPLES, environment, execute
from kernelext.recipe import NAMESPACE

from ..lab.lab import Lab

NOTEBOOKS = ("01_folds.ipynb", "02_hosts.ipynb", "03_image.ipynb")
GONE_S = 5.0  # a daemon that lets go of its lock has yet to leave its interpreter
# Of ipykernel, whose control thread may answer when its sockets are closed already.
FAREWELL = re.compile(
    r"ERROR:tornado.general:Uncaught exception in ZMQStream callback\n"
    r"(?:(?!ERROR:).*\n)*?.*Socket operation on non-socket\n"
)
ANSI = re.compile(r"\x1b\[[0-9;]*m")

# As the tutorial printed them: C, gamma, validation, train.
PUBLISHED = [
    ("1", "0.001", "0.99022 (+/-0.00151)", "0.99896 (+/-0.00038)"),
    ("10", "0.001", "0.98889", ""),
    ("100", "0.001", "0.98889", ""),
    ("10", "0.0001", "0.98756 (+/-0.00194)", "0.99733 (+/-0.00018)"),
    ("0.1", "0.001", "0.96533 (+/-0.00206)", "0.97179 (+/-0.00126)"),
]
HOSTS = "".join(f'[hosts.host0{n}]\nimage = "kernelext-lab:dev"\n' for n in (1, 2, 3))


@dataclass(frozen=True)
class Demo:
    """What ``examples/demo.py`` said, and what it left in its folder for temporary files."""

    code: int
    stdout: str
    stderr: str
    notebook: nbformat.NotebookNode
    left: list[Path]
    processes: list[str]


def run_demo(clone: Path) -> Demo:
    """Run the demo of a clone."""
    with tempfile.TemporaryDirectory(prefix="kx-") as name:  # short: sockets lie in it
        done = subprocess.run(
            [sys.executable, str(clone / "examples" / "demo.py")],
            env={**os.environ, "TMPDIR": name},
            capture_output=True,
            text=True,
            check=False,
        )
        return Demo(
            done.returncode,
            done.stdout,
            ANSI.sub("", done.stderr),
            nbformat.read(clone / "build" / "01_folds.ipynb", as_version=4),
            list(Path(name).iterdir()),
            remaining(name),
        )


def remaining(word: str) -> list[str]:
    """List the processes with `word` in their command lines that do not end by themselves."""
    deadline_s = time.monotonic() + GONE_S
    while (found := processes_with(word)) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    return found


def processes_with(word: str) -> list[str]:
    """List the command lines that have `word` in them."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:  # it has ended
            continue
        if word in line:
            found.append(line)
    return found


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The demo, run once."""
    clone = tmp_path_factory.mktemp("clone")
    shutil.copytree(EXAMPLES, clone / "examples")
    return run_demo(clone)


@pytest.fixture
def scratch(tmp_path: Path, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that holds all that a kernel writes; from it the lab's hosts are reachable."""
    variables = {**environment(tmp_path), **lab.environment()}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "kernelext.toml").write_text(HOSTS)
    yield tmp_path
    assert not (tmp_path / "data" / "local").exists()  # nothing was sent to `local`


def read(name: str) -> nbformat.NotebookNode:
    """Read an example."""
    return nbformat.read(EXAMPLES / name, as_version=4)


def output(notebook: nbformat.NotebookNode, cell_id: str) -> str:
    """Return what a cell has shown as plain text."""
    cell = next(cell for cell in notebook.cells if cell.id == cell_id)
    parts = [each.get("text") or each["data"]["text/plain"] for each in cell.outputs]
    return "".join(parts)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebooks_are_kept_without_outputs(name: str) -> None:
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    notebook = json.loads(text)
    cells = notebook["cells"]
    assert text == json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    assert all(re.fullmatch(r"[a-z-]+", cell["id"]) for cell in cells)
    assert len({cell["id"] for cell in cells}) == len(cells)
    assert not any(cell["metadata"] or cell.get("outputs") for cell in cells)
    assert not any(cell.get("execution_count") for cell in cells)


def test_demo_prints_the_published_figures(demo: Demo) -> None:
    assert demo.code == 0, demo.stderr
    lines = demo.stdout.splitlines()
    for C, gamma, validation, train in PUBLISHED:
        rows = [line.split() for line in lines if line.split()[:2] == [C, gamma]]
        found, compared = (" ".join(row[2:]) for row in rows)
        assert found.startswith(validation)
        assert found.split(") ")[1].startswith(train)
        assert compared.endswith("the same")


def test_demo_says_nothing_else(demo: Demo) -> None:
    assert FAREWELL.sub("", demo.stderr) == ""
    assert demo.stdout.splitlines()[-1].endswith("build/01_folds.ipynb")


def test_demo_leaves_nothing(demo: Demo) -> None:
    assert demo.left == []
    assert demo.processes == []


def test_folds_notebook_shows_every_fold(demo: Demo) -> None:
    table = output(demo.notebook, "folds").splitlines()
    assert len(table) == 1 + 5
    assert all("local" in line and "done" in line for line in table[1:])
    assert "C=100 gamma=0.001 validation 0.9" in table[1]


def test_folds_notebook_shows_history_and_log(demo: Demo) -> None:
    assert re.search(r"done +local .* digits$", output(demo.notebook, "runs").strip())
    assert len(output(demo.notebook, "log").strip().splitlines()) == 8


def test_demo_fails_with_the_traceback_of_the_cell(tmp_path: Path) -> None:
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    path = tmp_path / "examples" / "01_folds.ipynb"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("splits[fold]", "splits[fold + 9]"), encoding="utf-8")
    demo = run_demo(tmp_path)
    assert demo.code == 1
    assert "IndexError" in demo.stderr
    # As the notebook counts: its third code cell, the magic's line included.
    assert "Cell In[3], line 2" in demo.stderr
    assert "splits[fold + 9]" in demo.stderr
    assert demo.left == []
    assert demo.processes == []


@pytest.mark.timeout(300)
def test_hosts_notebook_gives_what_this_machine_gives(scratch: Path) -> None:
    remote = read("02_hosts.ipynb")
    local = without_kernelext(remote)
    here = run_and_keep(local, scratch / "here")
    there = run_and_keep(remote, scratch / "there")
    assert there["out_of_fold"].shape == (569,)
    np.testing.assert_allclose(there["out_of_fold"], here["out_of_fold"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(there["probabilities"], here["probabilities"], rtol=0, atol=1e-6)

    assert output(remote, "oof") == output(local, "oof")
    assert "rows without a prediction  0\n" in output(remote, "oof")
    roc = re.search(r"area under the ROC curve +([\d.]+)", output(remote, "oof"))
    assert roc is not None
    assert float(roc[1]) > 0.99
    assert output(remote, "model") == "trained on 569 rows\n"
    assert output(remote, "use").startswith("XGBClassifier with 100 trees\n")

    table = output(remote, "folds").splitlines()[1:]
    assert [line.split()[1] for line in table] == [f"host0{n}" for n in (1, 2, 3, 1, 2)]
    assert all("done" in line for line in table)
    assert "validation_0-logloss" in output(remote, "log")


@pytest.mark.timeout(400)
def test_image_notebook_runs_on_a_host_that_has_nothing(scratch: Path, lab: Lab) -> None:
    (scratch / "kernelext.toml").write_text("")  # the host's image is the plain one
    notebook = read("03_image.ipynb")
    (scratch / "work").mkdir()
    execute(notebook, scratch / "work")
    host = lab.host("host01")
    images = host.exec("docker", "images", "-q", f"{NAMESPACE}/*").stdout.split()
    host.exec("docker", "rmi", "-f", *images)

    assert output(notebook, "missing") == "No module named 'sklearn'\n"
    assert re.search(r"host01 has kernelext/env:\w{12}: \d+ wheels", output(notebook, "build"))
    assert output(notebook, "fit").startswith("trained on 426 rows by XGBoost ")
    used = output(notebook, "use").splitlines()
    assert used[0] == "the same versions True"
    assert float(used[1].split()[1]) > 0.95
    assert len(output(notebook, "list").splitlines()) == 2


def run_and_keep(notebook: nbformat.NotebookNode, folder: Path) -> dict[str, np.ndarray]:
    """Execute a notebook and return the arrays it has at its end."""
    folder.mkdir()
    file = folder / "kept.npz"
    keep = f"np.savez({str(file)!r}, out_of_fold=out_of_fold, probabilities=probabilities)"
    notebook.cells.append(nbformat.v4.new_code_cell(keep, id="keep"))
    execute(notebook, folder)
    with np.load(file) as kept:
        return dict(kept)


def without_kernelext(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Return the same computation as plain Python, fold after fold."""
    plain = nbformat.v4.new_notebook()
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        magic, _, body = cell.source.partition("\n")
        if magic.startswith("%%folds"):
            code = textwrap.indent(body, "    ")
            code = f"by_fold = {{}}\nfor fold in range(5):\n{code}\n    by_fold[fold] = predicted"
            body = code + "\npredicted = by_fold"
        elif not magic.startswith("%"):
            body = cell.source
        plain.cells.append(nbformat.v4.new_code_cell(body, id=cell.id))
    return plain

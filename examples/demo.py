"""Runs the first example on this machine: ``make demo``.

It executes a copy of ``01_folds.ipynb`` whose history, configuration and daemon live in a
temporary folder, prints the tables of the notebook, and ends what it started.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from traitlets.config import Config

from kernelext.errors import LinkError
from kernelext.link.client import DaemonClient
from kernelext.link.local import connect_local, local_state_dir

EXAMPLES = Path(__file__).resolve().parent
NOTEBOOK = "01_folds.ipynb"
TARGET = EXAMPLES.parent / "build" / NOTEBOOK
SHOWN_CELLS = ("table", "published")
CELL_TIMEOUT_S = 120
END_TIMEOUT_S = 30


def main() -> int:
    """Run it; the exit code."""
    began_s = time.monotonic()
    print(f"Executing {NOTEBOOK} on this machine...\n", flush=True)
    notebook = nbformat.read(EXAMPLES / NOTEBOOK, as_version=4)
    with tempfile.TemporaryDirectory(prefix="kernelext-demo-") as name:
        scratch = Path(name)
        os.environ.update(environment(scratch))
        try:
            execute(notebook, scratch)
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            sys.stderr.write(f"{error}\nThe notebook up to there is {TARGET}\n")
            return 1
        finally:
            TARGET.parent.mkdir(exist_ok=True)
            nbformat.write(notebook, TARGET)
            end_daemon(local_state_dir(scratch / "data"))
    for cell in notebook.cells:
        if cell.id in SHOWN_CELLS:
            print("".join(output.get("text", "") for output in cell.outputs))
    print(f"It took {time.monotonic() - began_s:.0f} s. The executed notebook is {TARGET}")
    return 0


def environment(scratch: Path) -> dict[str, str]:
    """Return the variables that keep kernelext, IPython and Jupyter within a folder."""
    folders = {
        "KERNELEXT_DATA": scratch / "data",
        "KERNELEXT_CONFIG": scratch / "kernelext.toml",
        "IPYTHONDIR": scratch / "ipython",
        "JUPYTER_CONFIG_DIR": scratch / "jupyter",
        "JUPYTER_DATA_DIR": scratch / "jupyter",
        "JUPYTER_RUNTIME_DIR": scratch / "jupyter",
    }
    return {"JUPYTER_PATH": "", **{name: str(folder) for name, folder in folders.items()}}


def execute(notebook: nbformat.NotebookNode, scratch: Path) -> None:
    """Execute a notebook in a copy of this folder, cell by cell."""
    folder = scratch / "examples"
    shutil.copytree(EXAMPLES, folder, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    config = Config()
    config.KernelManager.transport = "ipc"  # sockets in the folder, no port of this machine
    config.KernelManager.connection_file = str(scratch / "kernel.json")
    NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT_S,
        coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}},
        config=config,
    ).execute()


def end_daemon(state_dir: Path) -> None:
    """End the daemon of `local` whose state lies in a folder, and wait for its end.

    Left alone it ends itself after ten minutes without work. While folds are running it
    refuses to end, so it is asked until they have.
    """
    deadline_s = time.monotonic() + END_TIMEOUT_S
    while is_locked(state_dir / "lock"):
        if time.monotonic() > deadline_s:
            sys.stderr.write(f"the daemon has not ended; its state lies in {state_dir}\n")
            return
        # No socket, no answer: it is about to end.
        with contextlib.suppress(LinkError):
            pipe = connect_local(state_dir)
            with contextlib.closing(DaemonClient("local", pipe, ignore, ignore)) as client:
                client.request({"op": "retire"})
        time.sleep(0.05)


def is_locked(path: Path) -> bool:
    """Whether a daemon holds its lock, as it does for all its life."""
    if not path.exists():
        return False
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def ignore(*_: object) -> None:
    """Take what the daemon sends unasked."""


if __name__ == "__main__":
    sys.exit(main())

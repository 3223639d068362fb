"""Runs of clients that are not this process: one that lives, and one that has died."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

CLIENT = """
import sys
from pathlib import Path
from kernelext.verbs.celloptions import parse_cell_options
from kernelext.verbs.context import Context
from kernelext.verbs.submit import Cell, prepare_run

kind, line, code = sys.argv[1:]
context = Context(Path.cwd())
run = prepare_run(context, Cell(code, "Cell", None, {}, {}), parse_cell_options(kind, line))
run.start()
print(run.plan.run, flush=True)
for update in run.updates():
    event = getattr(update, "event", None)
    if event is not None and event.kind == "stream":
        print("printed", flush=True)
"""


class Client:
    """A process that runs one cell, as a notebook of its own would.

    Use it as a context manager; it waits until the cell has printed something.

    Attributes
    ----------
    run : str
        The run's id.
    """

    def __init__(self, folder: Path, host: str, code: str, folds: str = "") -> None:
        line = f"{folds} --on {host}" if folds else host
        argv = [sys.executable, "-c", CLIENT, "folds" if folds else "remote", line, code]
        self._process = subprocess.Popen(argv, cwd=folder, stdout=subprocess.PIPE, text=True)
        self.run = ""

    def __enter__(self) -> Client:
        """Return when the cell has printed."""
        assert self._process.stdout is not None
        self.run = self._process.stdout.readline().strip()
        assert self._process.stdout.readline() == "printed\n"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the process, if it has not."""
        self.die()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def die(self) -> None:
        """Kill it, as a restart of a kernel may."""
        if self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait(30)

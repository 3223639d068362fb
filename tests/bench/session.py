"""A session in a process of its own: loads the extension, runs one cell, prints its times."""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import datetime

from ..contract.notebook import Notebook, make_shell


def main(host: str) -> None:
    """Print the times as one line of JSON, seconds."""
    shell = make_shell()
    began_s = time.perf_counter()
    shell.run_line_magic("load_ext", "kernelext")
    times = {"load_s": time.perf_counter() - began_s}
    notebook = Notebook(shell)
    notebook.check("x = 1")
    began = time.time()
    notebook.check(f"%%remote {host}\ny = x + 1")
    ended = time.time()
    times["whole_s"] = ended - began
    # What came between is in the history: nothing is imported here that the cell would import.
    from kernelext.history import History, history_path

    with History.open(history_path(os.environ)) as history:
        run = history.runs(limit=1)[0]
        attempt = history.attempts(run.id)[0]
    written, connected = _seconds(run.created_at), _seconds(attempt.started_at)
    times["prepared_s"] = written - began
    times["connected_s"] = connected - written
    times["ended_s"] = ended - connected
    print(json.dumps(times))
    notebook.__exit__()


def _seconds(written: str) -> float:
    return datetime.fromisoformat(written).timestamp()


if __name__ == "__main__":
    main(sys.argv[1])

"""The command line of a container: ``... runner --work DIR --poke SOCKET``."""

from __future__ import annotations

import argparse

from kernelext.runner.cell_process import run_cell_process
from kernelext.runner.supervisor import Supervisor, SupervisorOptions


def main(argv: list[str]) -> int:
    """Supervise one cell; the exit code of the container."""
    parser = argparse.ArgumentParser("kernelext runner")
    parser.add_argument("--work", required=True)
    parser.add_argument("--poke", required=True)
    parser.add_argument("--cgroup")
    parser.add_argument("--watch-bytes", type=int)
    found = parser.parse_args(argv)
    options = SupervisorOptions(found.work, found.poke, found.cgroup, found.watch_bytes)
    return Supervisor(options, run_cell_process).run()

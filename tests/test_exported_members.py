"""The public surface is what it is on purpose."""

from __future__ import annotations

import importlib
import subprocess
import sys

import kernelext


def test_public_names() -> None:
    assert kernelext.__all__ == [
        "KernelExtError",
        "RemoteCellError",
        "RunError",
        "load",
        "load_ipython_extension",
        "runs",
    ]
    for name in kernelext.__all__:
        assert getattr(kernelext, name) is not None


def test_importing_the_package_imports_nothing_else() -> None:
    code = "import sys, kernelext; print([m for m in sys.modules if m.startswith('kernelext.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_room_of_runs_does_not_hide_the_function() -> None:
    room = importlib.import_module("kernelext.runs")
    assert room.Run.__module__ == "kernelext.runs.run"
    assert callable(kernelext.runs)
    from kernelext import runs

    assert runs is kernelext.runs

"""Executes a cell of another language by its own program."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernelext.runner.failure import failure_content


@dataclass(frozen=True)
class Language:
    """How scripts of a language are run: the program, and how their files end."""

    program: str
    suffix: str


LANGUAGES = {
    "bash": Language("bash", ".sh"),
    "r": Language("Rscript", ".R"),
}


class ScriptError(RuntimeError):
    """A script ended with an exit code that is not zero, or could not be started."""


class ScriptShell:
    """Runs source as a script; what it prints goes where a cell's children print.

    Parameters
    ----------
    language : str
        One of `LANGUAGES`.
    fold : object
        The fold's number, which scripts find in the environment as ``FOLD``; None for none.
    """

    def __init__(self, language: str, fold: object) -> None:
        self._language = LANGUAGES[language]
        self._environ = dict(os.environ) if fold is None else {**os.environ, "FOLD": str(fold)}

    def execute(self, source: str, filename: str, flags: int = 0) -> dict[str, Any] | None:
        """Run `source`; None when it ended well, else the content of an error event."""
        try:
            self._run(source)
        except ScriptError as error:
            return failure_content(error, [f"ScriptError: {error}"])  # no line of it is Python's
        except BaseException as error:  # an interrupt may come at any time
            return failure_content(error)
        return None

    def _run(self, source: str) -> None:
        program = self._language.program
        sys.stdout.flush()
        sys.stderr.flush()
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder, f"cell{self._language.suffix}")
            script.write_text(source, encoding="utf-8")
            try:
                code = subprocess.run([program, script], env=self._environ, check=False).returncode
            except FileNotFoundError:
                raise ScriptError(
                    f"there is no {program} here: name an image that has it with --image"
                ) from None
        if code:
            raise ScriptError(f"{program} ended with exit code {code}")

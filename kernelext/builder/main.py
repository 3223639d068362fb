"""The build container's command line: ``... builder FOLDER``, which holds ``job.json``.

::

    job.json        {"pieces": [{"file": FILE, "kind": KIND, "name": NAME, "out": FILE}]}
    packages/FILE   what to install: a `wheel`, or of conda's channels `conda` or `noarch`; for
                    `whiteouts` the distributions that wheels may replace, a name a line
    pieces/FILE     what it installs, or takes away

Each piece that is done is said on a line of its own: ``{"made": NAME}``; what cannot be made ends
the container with ``{"error": SENTENCE}``.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import site
import sys
import sysconfig
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from kernelext.builder.condapiece import Interpreter, write_conda_piece
from kernelext.builder.piece import write_piece
from kernelext.builder.whiteouts import write_whiteouts

DISTRO_PREFIX = "/usr"  # whose own packages are the distribution's


def main(argv: list[str]) -> int:
    """Make all pieces, the largest first, each in a process of its own; the exit code.

    What is interned in a process changes the byte code that it writes: so none makes two.
    """
    folder = Path(argv[0])
    jobs = json.loads((folder / "job.json").read_text())["pieces"]
    jobs.sort(key=lambda job: (folder / "packages" / job["file"]).stat().st_size)
    makers: dict[int, Maker] = {}
    while jobs or makers:
        while jobs and len(makers) < (os.cpu_count() or 1):
            maker = Maker(folder, jobs.pop())
            makers[maker.sentinel] = maker
        for sentinel in wait(list(makers)):
            maker = makers.pop(sentinel)  # type: ignore[arg-type]
            problem = maker.problem()
            if problem:
                _say({"error": f"{maker.name} cannot be installed: {problem}"})
                return 1
            _say({"made": maker.name})
    return 0


class Maker:
    """A process that makes one piece.

    Parameters
    ----------
    folder : Path
    job : dict
        Of ``job.json``.
    """

    def __init__(self, folder: Path, job: dict[str, str]) -> None:
        self.name = job["name"]
        self._told, telling = multiprocessing.Pipe(duplex=False)
        forks = multiprocessing.get_context("fork")
        self._process = forks.Process(target=_make, args=(folder, job, telling))
        self._process.start()
        telling.close()  # so that a death is an end of file

    @property
    def sentinel(self) -> int:
        """What becomes ready when the process ends."""
        return self._process.sentinel

    def problem(self) -> str:
        """Return why it has made nothing; empty when it has."""
        try:
            told = str(self._told.recv())
        except EOFError:
            told = "its installation was killed; has the host too little memory?"
        self._process.join()
        return told


def _make(folder: Path, job: dict[str, str], telling: Any) -> None:
    package, target = folder / "packages" / job["file"], folder / "pieces" / job["out"]
    problem = ""
    try:
        if job["kind"] == "wheel":
            write_piece(package, target, _schemes(job["name"]))
        elif job["kind"] == "whiteouts":
            write_whiteouts(package.read_text().split(), target, site.getsitepackages()[0])
        else:
            own = Interpreter(sys.executable, site.getsitepackages()[0])
            write_conda_piece(package, target, own if job["kind"] == "noarch" else None)
    except Exception as exc:  # whatever a package holds: it has to be named
        problem = str(exc) or type(exc).__name__
    telling.send(problem)


def _schemes(name: str) -> dict[str, str]:
    """Return where this image's Python looks for what is installed beside the distribution's.

    `sysconfig` does not know where Debian's older Pythons look; `site` does.
    """
    packages = site.getsitepackages()[0]
    prefix = "/usr/local" if sys.prefix == DISTRO_PREFIX else sys.prefix
    return {
        "purelib": packages,
        "platlib": packages,
        "scripts": f"{prefix}/bin",
        "headers": f"{sysconfig.get_path('include')}/{name}",
        "data": prefix,
    }


def _say(line: dict[str, str]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()

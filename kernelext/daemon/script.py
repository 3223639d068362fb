"""How a script of the user's runs over an image: as root, and with the engine's network."""

from __future__ import annotations

from pathlib import Path

from kernelext.daemon.engine import SCRIPT_TAR, SCRIPT_WORK, Say
from kernelext.daemon.installing import Installation
from kernelext.recipe import EPOCH_S, Files

VARIABLES = {
    "DEBIAN_FRONTEND": "noninteractive",
    "HOME": "/root",
    "SOURCE_DATE_EPOCH": str(EPOCH_S),
}


def script_of(script: Files, folder: Path, say: Say) -> Installation:
    """Return what runs a script, with its folder beside it.

    Parameters
    ----------
    script : Files
    folder : Path
        Of the build; has the files as a tar, as they are to lie in the container.
    say : callable
        Told what the script says, a JSON object each time.
    """
    name = script.start.rpartition("/")[2]

    def hear(line: str) -> None:
        told = {"step": 1, "of": 1, "instruction": name, "line": line}
        say({**told, "container": folder.name})

    hear("")
    return Installation(
        # A shell: it takes also a script without a first line that names one.
        ["sh", "-c", 'exec "$0"', f"./{script.start}"],
        VARIABLES,
        f"{name} fails",
        hear,
        f"/{SCRIPT_WORK}",
        is_online=True,
        files=folder / SCRIPT_TAR,
    )

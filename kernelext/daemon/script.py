"""Runs a script over an image, as root and with the engine's network, for what it changes there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kernelext.daemon.docker_api import DockerAPI
from kernelext.daemon.engine import SCRIPT_WORK, Say
from kernelext.daemon.layer_container import layer_container
from kernelext.recipe import EPOCH_S

VARIABLES = {
    "DEBIAN_FRONTEND": "noninteractive",
    "HOME": "/root",
    "SOURCE_DATE_EPOCH": str(EPOCH_S),
}


def script_config(path: str) -> dict[str, Any]:
    """Return what a container that runs a script has, beside its image and its limits.

    Parameters
    ----------
    path : str
        Relative to the working folder.
    """
    return {
        # A shell: it takes also a script without a first line that names one.
        "Entrypoint": ["sh", "-c", 'exec "$0"', f"./{path}"],
        "Env": [f"{key}={value}" for key, value in VARIABLES.items()],
        "User": "0:0",
        "WorkingDir": f"/{SCRIPT_WORK}",
        "Tty": True,  # its log is plain lines
    }


def run_script(
    api: DockerAPI, name: str, config: Mapping[str, Any], tar: Path, target: Path, say: Say
) -> None:
    """Run a script in a container, and write what that changes as a piece of a layer.

    Parameters
    ----------
    api : DockerAPI
    name : str
        Of the container.
    config : mapping
        With `script_config`.
    tar : Path
        The script and what lies beside it, as they lie in the container.
    target : Path
        Of the piece; beside it there is room for the changed files.
    say : callable
        Told what the script says, a JSON object each time.

    Raises
    ------
    EngineError, DiskFull
        It fails; has the last that it said.
    """
    script = str(config["Entrypoint"][-1]).rpartition("/")[2]

    def hear(line: str) -> None:
        say({"step": 1, "of": 1, "instruction": script, "line": line, "container": name})

    hear("")
    with layer_container(api, name, config) as container:
        api.put_files(name, tar)
        container.run(f"{script} fails", hear)
        container.write_changes(target)

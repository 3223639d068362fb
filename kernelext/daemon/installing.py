"""Runs something as root in a container, and takes out what it changed as a layer."""

from __future__ import annotations

import contextlib
import io
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernelext.daemon.changes import write_layer
from kernelext.daemon.docker_api import DockerAPI, DockerError, engine_problem
from kernelext.daemon.engine import SAID_LINES
from kernelext.daemon.filetar import ByteStream

# What is needed to place files and to make users, and no more.
CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETFCAP", "SETGID", "SETUID")


@dataclass(frozen=True)
class Installation:
    """What a container does as root.

    Attributes
    ----------
    command : list of str
    variables : mapping of str to str
        Its environment, beside the image's.
    problem : str
        What an error begins with.
    hear : callable
        Told each line that is said.
    folder : str
        Where it begins.
    is_online : bool
        Whether it has the engine's network; else it reaches nothing but the build's folder.
    files : Path or None
        A tar that is unpacked in the container before.
    """

    command: list[str]
    variables: Mapping[str, str]
    problem: str
    hear: Callable[[str], None]
    folder: str = "/"
    is_online: bool = False
    files: Path | None = None


def install(
    api: DockerAPI, name: str, config: Mapping[str, Any], work: Installation, target: Path
) -> None:
    """Run an installation in a container, and write what it changes as a piece of a layer.

    Parameters
    ----------
    api : DockerAPI
    name : str
        Of the container.
    config : mapping
        It runs the installation's command, with a terminal.
    work : Installation
    target : Path
        Of the piece; beside it there is room for the changed files.

    Raises
    ------
    EngineError, DiskFull
        It fails, and this has the last that was said; or what it changed cannot be a layer.
    """
    api.call("POST", "/containers/create", config, name=name)
    try:
        if work.files is not None:
            api.put_files(name, work.files)
        _run(api, name, work)
        changes = api.call("GET", f"/containers/{name}/changes") or ()
        data = api.download(f"/containers/{name}/export")
        spooled = target.with_suffix(".spool")
        with io.BufferedReader(ByteStream(data)) as export:
            try:
                with spooled.open("w+b") as spool:
                    write_layer(changes, export, target, spool)
            finally:
                spooled.unlink(missing_ok=True)
    finally:
        with contextlib.suppress(DockerError):
            api.call("DELETE", f"/containers/{name}", force=1, v=1)


def _run(api: DockerAPI, name: str, work: Installation) -> None:
    last: deque[str] = deque(maxlen=SAID_LINES)
    api.call("POST", f"/containers/{name}/start")
    for line in api.texts("GET", f"/containers/{name}/logs", stdout=1, follow=1):
        last.append(line)
        work.hear(line)
    code = api.call("POST", f"/containers/{name}/wait")["StatusCode"]
    if code:
        raise engine_problem("\n".join((f"{work.problem} (exit {code}):", *last)))

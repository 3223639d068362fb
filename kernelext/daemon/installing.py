"""Runs an installation in a container that reaches nothing, and takes out what it changed."""

from __future__ import annotations

import contextlib
import io
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernelext.daemon.changes import write_layer
from kernelext.daemon.docker_api import DockerAPI, DockerError
from kernelext.errors import EngineError

SAID_LINES = 20
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
    what : str
        What is installed, for people.
    hear : callable
        Told each line that is said.
    """

    command: list[str]
    variables: Mapping[str, str]
    what: str
    hear: Callable[[str], None]


def install(
    api: DockerAPI, name: str, config: Mapping[str, Any], work: Installation, target: Path
) -> None:
    """Install something in a container, and write what that changes as a piece of a layer.

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
    EngineError
        It fails; has the last that was said.
    """
    api.call("POST", "/containers/create", config, name=name)
    try:
        _run(api, name, work)
        changes = api.call("GET", f"/containers/{name}/changes") or ()
        spooled = target.with_suffix(".spool")
        with io.BufferedReader(_Stream(api.download(f"/containers/{name}/export"))) as export:
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
        said = "\n".join(last)
        raise EngineError(f"{work.what} cannot be installed (exit {code}):\n{said}")


class _Stream(io.RawIOBase):
    """An iterator of bytes as a file."""

    def __init__(self, data: Iterator[bytes]) -> None:
        self._data = data
        self._held = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._held:
            self._held = memoryview(next(self._data, b""))
        size = min(len(buffer), len(self._held))
        buffer[:size] = self._held[:size]
        self._held = self._held[size:]
        return size

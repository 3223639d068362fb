"""A container that is run once, for what it changes of its image: that becomes a layer."""

from __future__ import annotations

import contextlib
import io
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kernelext.daemon.changes import write_layer
from kernelext.daemon.docker_api import DockerAPI, DockerError, engine_problem
from kernelext.daemon.engine import SAID_LINES
from kernelext.daemon.filetar import ByteStream


class LayerContainer:
    """A container that is there; see `layer_container`."""

    def __init__(self, api: DockerAPI, name: str) -> None:
        self._api = api
        self._name = name

    def run(self, problem: str, hear: Callable[[str], None]) -> None:
        """Start it, and wait for its end.

        Parameters
        ----------
        problem : str
            What an error begins with.
        hear : callable
            Told every line that it says.

        Raises
        ------
        EngineError, DiskFull
            It ends with another code than 0; has its last lines.
        """
        last: deque[str] = deque(maxlen=SAID_LINES)
        self._api.call("POST", f"/containers/{self._name}/start")
        for line in self._api.texts("GET", f"/containers/{self._name}/logs", stdout=1, follow=1):
            last.append(line)
            hear(line)
        code = self._api.call("POST", f"/containers/{self._name}/wait")["StatusCode"]
        if code:
            raise engine_problem("\n".join((f"{problem} (exit {code}):", *last)))

    def write_changes(self, target: Path) -> None:
        """Write what it has changed as a piece of a layer.

        Parameters
        ----------
        target : Path
            Beside it there is room for the changed files.

        Raises
        ------
        EngineError
            They cannot be a layer.
        """
        changes = self._api.call("GET", f"/containers/{self._name}/changes") or ()
        data = self._api.download(f"/containers/{self._name}/export")
        spooled = target.with_suffix(".spool")
        with io.BufferedReader(ByteStream(data)) as export:
            try:
                with spooled.open("w+b") as spool:
                    write_layer(changes, export, target, spool)
            finally:
                spooled.unlink(missing_ok=True)


@contextlib.contextmanager
def layer_container(
    api: DockerAPI, name: str, config: Mapping[str, Any]
) -> Iterator[LayerContainer]:
    """Have a container, which is removed after.

    Parameters
    ----------
    api : DockerAPI
    name : str
    config : mapping
        Docker Engine API, "Create a container". It has a terminal.
    """
    api.call("POST", "/containers/create", config, name=name)
    try:
        yield LayerContainer(api, name)
    finally:
        with contextlib.suppress(DockerError):
            api.call("DELETE", f"/containers/{name}", force=1, v=1)

"""Installs Debian packages in a container that reaches nothing, and takes out what it changed."""

from __future__ import annotations

import contextlib
import io
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kernelext.daemon.changes import write_layer
from kernelext.daemon.docker_api import DockerAPI, DockerError
from kernelext.daemon.engine import Say
from kernelext.errors import EngineError
from kernelext.recipe import EPOCH_S, Deb

SAID_LINES = 20
CONFIGURED = "Setting up "
TURNS = 3
# What is to be configured before others are unpacked (Pre-Depends) fails in the first turn alone.
INSTALL = f"""
turn=1
until
    dpkg --unpack --skip-same-version --auto-deconfigure "$@" {{folder}}/*.deb &&
    dpkg --configure -a "$@"
do
    [ $turn -lt {TURNS} ] || exit 1
    turn=$((turn + 1))
    dpkg --configure -a "$@"
done
"""
FORCED = ("--force-unsafe-io", "--force-confdef", "--force-confold")
# What dpkg and the packages' scripts need to place files and to make users, and no more.
CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETFCAP", "SETGID", "SETUID")
VARIABLES = {
    "DEBIAN_FRONTEND": "noninteractive",
    "FORCE_SOURCE_DATE": "1",  # without it TeX takes today's
    "HOME": "/root",
    "LC_ALL": "C",
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",  # not the Python of /usr/local
    "PERL_HASH_SEED": "0",
    "PYTHONHASHSEED": "0",
    "SOURCE_DATE_EPOCH": str(EPOCH_S),
}


def install_command(folder: str) -> list[str]:
    """Return the command that installs all packages of a folder."""
    return ["sh", "-c", INSTALL.format(folder=folder), "install", *FORCED]


def install_debs(
    api: DockerAPI,
    name: str,
    config: Mapping[str, Any],
    debs: Sequence[Deb],
    target: Path,
    say: Say,
) -> None:
    """Install packages in a container, and write what that changes as a piece of a layer.

    Parameters
    ----------
    api : DockerAPI
    name : str
        Of the container.
    config : mapping
        It runs `install_command`, with a terminal.
    debs : sequence of Deb
    target : Path
        Of the piece; beside it there is room for the changed files.
    say : callable
        Told which package is installed, a JSON object each time.

    Raises
    ------
    EngineError
        One cannot be installed; it has the last that was said.
    """
    api.call("POST", "/containers/create", config, name=name)
    try:
        _run(api, name, debs, say)
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


def _run(api: DockerAPI, name: str, debs: Sequence[Deb], say: Say) -> None:
    last: deque[str] = deque(maxlen=SAID_LINES)
    made: set[str] = set()
    api.call("POST", f"/containers/{name}/start")
    for line in api.texts("GET", f"/containers/{name}/logs", stdout=1, follow=1):
        last.append(line)
        if line.startswith(CONFIGURED):
            package = line[len(CONFIGURED) :].partition(" ")[0]
            made.add(package)
            say({"made": package, "number": len(made), "of": len(debs)})
    code = api.call("POST", f"/containers/{name}/wait")["StatusCode"]
    if code:
        said = "\n".join(last)
        raise EngineError(f"the Debian packages cannot be installed (exit {code}):\n{said}")


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

"""Installs Debian packages in a container that reaches nothing, and takes out what it changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kernelext.daemon.docker_api import DockerAPI
from kernelext.daemon.engine import Say
from kernelext.daemon.layer_container import layer_container
from kernelext.recipe import EPOCH_S, Deb

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
    EngineError, DiskFull
        One cannot be installed; it has the last that was said.
    """
    made: set[str] = set()

    def hear(line: str) -> None:
        if line.startswith(CONFIGURED):
            package = line[len(CONFIGURED) :].partition(" ")[0]
            made.add(package)
            say({"made": package, "number": len(made), "of": len(debs)})

    with layer_container(api, name, config) as container:
        container.run("the Debian packages cannot be installed", hear)
        container.write_changes(target)

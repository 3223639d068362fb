"""How Debian packages are installed in a container that reaches nothing."""

from __future__ import annotations

from collections.abc import Sequence

from kernelext.daemon.engine import Say
from kernelext.daemon.installing import Installation
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


def installation_of(debs: Sequence[Deb], folder: str, say: Say) -> Installation:
    """Return what installs all packages of a folder.

    Parameters
    ----------
    debs : sequence of Deb
    folder : str
        Where they are in the container.
    say : callable
        Told which package is installed, a JSON object each time.
    """
    made: set[str] = set()

    def hear(line: str) -> None:
        if line.startswith(CONFIGURED):
            package = line[len(CONFIGURED) :].partition(" ")[0]
            made.add(package)
            say({"made": package, "number": len(made), "of": len(debs)})

    command = ["sh", "-c", INSTALL.format(folder=folder), "install", *FORCED]
    return Installation(command, VARIABLES, "the Debian packages cannot be installed", hear)

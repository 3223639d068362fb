"""How the scripts of conda's packages run when all are installed (conda-build's "link scripts")."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kernelext.daemon.engine import Say
from kernelext.daemon.installing import Installation
from kernelext.recipe import CONDA_PREFIX, EPOCH_S, CondaPackage

RUNNING = "Running the script of "
# Their messages are for a person who is not there.
RUN = f"""
shell=sh
command -v bash >/dev/null && shell=bash
while [ $# -gt 0 ]
do
    echo "{RUNNING}$1"
    PKG_NAME=$1 PKG_VERSION=$2 PKG_BUILDNUM=$3 "$shell" "$PREFIX/bin/.$1-post-link.sh" || exit
    shift 3
done
rm -f "$PREFIX/.messages.txt"
"""
VARIABLES = {
    "HOME": "/root",
    "LC_ALL": "C",
    "PERL_HASH_SEED": "0",
    "PREFIX": CONDA_PREFIX,
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "ROOT_PREFIX": CONDA_PREFIX,
    "SOURCE_DATE_EPOCH": str(EPOCH_S),
}


def scripts_of(packages: Sequence[CondaPackage], say: Say) -> Installation:
    """Return what runs the scripts of packages, one after the other.

    Parameters
    ----------
    packages : sequence of CondaPackage
        Those that have one.
    say : callable
        Told whose script is run, a JSON object each time.
    """
    names = [package.name for package in packages]

    def hear(line: str) -> None:
        name = line[len(RUNNING) :] if line.startswith(RUNNING) else ""
        if name in names:
            say({"made": name, "number": names.index(name) + 1, "of": len(names)})

    told = [text for each in packages for text in (each.name, each.version, _build_number(each))]
    command = ["sh", "-c", RUN, "scripts", *told]
    return Installation(command, VARIABLES, "a script of conda's packages fails", hear)


def _build_number(package: CondaPackage) -> str:
    """Return the number at the end of a package's build, as conda-build names builds."""
    found = re.search(r"(\d+)\.(conda|tar\.bz2)$", package.file_name)
    return found[1] if found else "0"

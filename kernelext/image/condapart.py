"""What an image takes from conda's channels: fetched here, and looked into."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version

from kernelext.errors import ImageBuildError
from kernelext.image.jobs import Check, Say
from kernelext.image.resolving import Pin
from kernelext.image.wheelhouse import Wheelhouse
from kernelext.recipe import CONDA_PYTHON, CondaPackage, Package, normal_name

DISTRIBUTION = re.compile(
    r"(?:.*/)?site-packages/(?P<name>[^/-]+)-(?P<version>[^/-]+)[^/]*\.(?:dist|egg)-info(?:/|$)"
)
ACTIVATION = re.compile(r"etc/conda/(activate\.d/[^/]+\.sh|env_vars\.d/[^/]+\.json)$")


@dataclass(frozen=True)
class CondaPart:
    """Packages of conda for one image.

    Attributes
    ----------
    packages : tuple of CondaPackage
        Each after those that it needs.
    paths : mapping of Package to Path
        Where they lie here.
    python : str
        Major and minor version of the Python among them; empty for none.
    distributions : mapping of str to str
        Versions of the distributions in them, by their normalised names: pip sees these.
    """

    packages: tuple[CondaPackage, ...] = ()
    paths: Mapping[Package, Path] = field(default_factory=dict)
    python: str = ""
    distributions: Mapping[str, str] = field(default_factory=dict)

    def lacks(self, requirement: str) -> bool:
        """Whether a line of a requirements file asks for something that is not here."""
        try:
            asked = Requirement(requirement)
        except InvalidRequirement:  # an option of pip's
            return True
        version = self.distributions.get(normal_name(asked.name))
        if version is None or asked.url or asked.extras:
            return True
        return not asked.specifier.contains(version, prereleases=True)


def fetch_conda_part(
    records: Sequence[Mapping[str, Any]],
    house: Wheelhouse,
    say: Say,
    check: Check,
) -> CondaPart:
    """Bring packages here and say what is in them.

    Parameters
    ----------
    records : sequence of mapping
        Of `resolve_conda`.
    house : Wheelhouse
    say : callable
        Told what is being fetched.
    check : callable
        Raises when the user wants it to stop.

    Raises
    ------
    ImageBuildError
        One cannot be fetched, or is not what its channel says.
    """
    pins = [_pin(record) for record in records]
    fetched = house.fetch(CondaPackage, pins, say, check)
    packages: list[CondaPackage] = []
    distributions: dict[str, str] = {}
    for record, pin, package in zip(records, pins, fetched, strict=True):
        files = _files(house.path(pin))
        distributions.update(_distributions(files))
        packages.append(
            replace(
                package,
                is_noarch_python=record.get("noarch") == "python",
                has_script=f"bin/.{package.name}-post-link.sh" in files,
                has_activation=any(ACTIVATION.match(file) for file in files),
            )
        )
    pythons = [pin.version for pin in pins if pin.name == CONDA_PYTHON]
    return CondaPart(
        tuple(packages),
        dict(zip(packages, map(house.path, pins), strict=True)),
        ".".join(pythons[0].split(".")[:2]) if pythons else "",
        distributions,
    )


def _pin(record: Mapping[str, Any]) -> Pin:
    name, version = str(record["name"]), str(record["version"])
    if not record.get("sha256"):
        raise ImageBuildError(
            f"the channel of {name} {version} does not say its SHA-256; name another channel"
        )
    file_name = str(record["fn"]).rpartition("/")[2]
    return Pin(name, version, file_name, str(record["url"]), str(record["sha256"]))


def _files(package: Path) -> list[str]:
    """List what a package installs; nothing for one that is not as packages are."""
    import rattler

    try:
        listed = rattler.PathsJson.from_package_archive(package)
    except Exception:  # of before 2017, or damaged: the host will say
        return []
    return [str(entry.relative_path) for entry in listed.paths]


def _distributions(files: Sequence[str]) -> dict[str, str]:
    """Return the distributions among files, with their versions.

    Examples
    --------
    >>> _distributions(["lib/python3.11/site-packages/Own_X-1.0.dist-info/METADATA"])
    {'own-x': '1.0'}
    """
    found = {}
    for match in map(DISTRIBUTION.match, files):
        if match and _is_version(match["version"]):
            found[normal_name(match["name"])] = match["version"]
    return found


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True

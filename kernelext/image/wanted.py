"""What an environment is to hold, as its project says it: not yet resolved."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from packaging.specifiers import SpecifierSet

SPEC_NAME = re.compile(r"[A-Za-z0-9_.-]+")
RELEASE = re.compile(r"\d+(\.\d+)*")
IN_ANY_IMAGE = {"python", "pip"}


@dataclass(frozen=True)
class Local:
    """A package that no index is asked for: its wheel is built here, or lies here.

    Attributes
    ----------
    place : str
        The absolute path of a folder, a wheel or a source archive; an address of Git, as pip
        writes it (``git+URL@REVISION#subdirectory=FOLDER``), or one of a source archive.
    name : str
        What it is called, as far as it is said.
    extras : tuple of str
    marker : str
        Under what condition it is wanted (packaging.python.org, "dependency specifiers").
    instead : str
        The requirement that stands in where its file is gone.
    sha256 : tuple of str
        Of its file here, any of these; empty for any file. Those of an address are a part of it.
    """

    place: str
    name: str = ""
    extras: tuple[str, ...] = ()
    marker: str = ""
    instead: str = ""
    sha256: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Local:
        """Read the JSON form."""
        lists = {key: tuple(data.get(key, ())) for key in ("extras", "sha256")}
        return cls(**{**data, **lists})


@dataclass(frozen=True)
class Folder:
    """A folder whose files a build reads.

    Attributes
    ----------
    root : str
    start : str
        The Dockerfile or the script in it, by which the build begins.
    digest : str
        Of all its files.
    """

    root: str
    start: str
    digest: str


@dataclass(frozen=True)
class Wanted:
    """Requirements over a base image.

    Attributes
    ----------
    source : str
        Where they are from, for people.
    requirements : tuple of str
        Lines of a requirements file (pip's format), without includes.
    constraints : tuple of str
        Versions that hold for whatever is needed besides.
    local : tuple of Local
        Packages that are built here, or lie here as wheels.
    overrides : tuple of str
        Requirements that stand for what packages themselves say of these names.
    python : str
        The version that the base has to have, as far as it is said.
    requires_python : str
        Which versions it may have (packaging.python.org, "version specifiers"); empty for any.
    apt : tuple of str
        Debian packages.
    conda : tuple of str
        Specifications of conda's packages, Python and pip among them.
    channels : tuple of str
        Where these are from, the first before the others; none is conda-forge.
    dockerfile : Folder or None
        What makes the image that all this is over.
    script : Folder or None
        What is run over all of it.
    """

    source: str
    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    local: tuple[Local, ...] = ()
    python: str = ""
    apt: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    conda: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    requires_python: str = ""
    dockerfile: Folder | None = None
    script: Folder | None = None

    @property
    def has_packages(self) -> bool:
        """Whether anything is to be installed, on whatever Python."""
        return bool(self.requirements or self.local or self.apt or self.conda_names)

    @property
    def conda_names(self) -> set[str]:
        """The packages of conda that are asked for, but those that any image has.

        Examples
        --------
        >>> Wanted("", conda=("python=3.12", "pip", "conda-forge::R-base >=4")).conda_names
        {'r-base'}
        """
        names = {SPEC_NAME.match(text.rpartition("::")[2].strip()) for text in self.conda}
        return {name[0].lower() for name in names if name} - IN_ANY_IMAGE

    @property
    def digest(self) -> str:
        """The SHA-256 of what is wanted, in hexadecimal."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @property
    def count(self) -> int:
        """How many packages are asked for, before what they need."""
        return len(self.requirements) + len(self.local) + len(self.apt)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Wanted:
        """Read the JSON form of one that reads no folder."""
        lists: dict[str, Any] = {
            key: tuple(data.get(key, ()))
            for key in ("requirements", "constraints", "apt", "overrides", "conda", "channels")
        }
        local = tuple(Local.from_json(each) for each in data.get("local", ()))
        return cls(
            str(data["source"]),
            local=local,
            python=str(data.get("python", "")),
            requires_python=str(data.get("requires_python", "")),
            **lists,
        )

    def takes_python(self, version: str) -> bool:
        """Whether an image with a version of Python may be used.

        Examples
        --------
        >>> Wanted("", requires_python=">=3.9,<3.13").takes_python("3.11.2")
        True
        """
        found = RELEASE.match(version)  # distributions write more behind it: `3.11.2+`
        if not self.requires_python or not found:
            return True
        return SpecifierSet(self.requires_python).contains(found[0], prereleases=True)

    def asks_other_python(self, version: str) -> bool:
        """Whether another Python is to be installed than an image has.

        Examples
        --------
        >>> Wanted("", python="3.12").asks_other_python("3.11.2")
        True
        """
        return bool(self.python) and not f"{version}.".startswith(f"{self.python}.")

    def with_more(self, more: Wanted) -> Wanted:
        """Return what is wanted here and there."""
        return replace(
            self,
            requirements=(*self.requirements, *more.requirements),
            constraints=(*self.constraints, *more.constraints),
            local=(*self.local, *more.local),
        )


def project_key(project: Path) -> str:
    """Name a project's files here."""
    return hashlib.sha256(str(project).encode()).hexdigest()[:16]

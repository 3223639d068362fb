"""What an image is built of: a base, packages, a script or a Dockerfile, each by its digest.

Standard library only.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from kernelext.models import Chunk, known_fields, to_json

NAMESPACE = "kernelext"  # of our images: no registry is asked for them
PROJECTS = "env"
# Of conda's packages; a base that is conda's own has its environment at /opt/conda.
CONDA_PREFIX = "/opt/kernelext"
CONDA_PYTHON = "python"
EPOCH_S = 315_532_800  # 1980, the first date that a wheel's archive can hold: of all in our layers

P = TypeVar("P", bound="Package")


def normal_name(name: str) -> str:
    """Return the one spelling of a distribution's name (PEP 503).

    Examples
    --------
    >>> normal_name("Scikit_Learn")
    'scikit-learn'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True)
class Package:
    """A file that something is installed from.

    Attributes
    ----------
    name : str
    version : str
    file_name : str
    chunks : tuple of Chunk
        Its bytes.
    """

    name: str
    version: str
    file_name: str
    chunks: tuple[Chunk, ...]

    @property
    def size_bytes(self) -> int:
        """How large it is, compressed."""
        return sum(chunk.size_bytes for chunk in self.chunks)

    @classmethod
    def from_json(cls: type[P], data: Mapping[str, Any]) -> P:
        """Read the JSON form."""
        known = known_fields(cls, data)
        known["chunks"] = tuple(Chunk.from_json(chunk) for chunk in data["chunks"])
        return cls(**known)


class Wheel(Package):
    """A built distribution (the binary distribution format of the Python packaging guide).

    Its name is normalised.
    """


class Deb(Package):
    """A binary package of Debian or of what is made of it (manual page deb(5))."""


@dataclass(frozen=True)
class CondaPackage(Package):
    """A package of a channel of conda's (``.conda`` or ``.tar.bz2``).

    Attributes
    ----------
    is_noarch_python : bool
        Whether its files lie where the environment's Python says.
    has_script : bool
        Whether a script of its own runs when all is installed.
    has_activation : bool
        Whether it sets variables, by a script that runs where the environment is used.
    """

    is_noarch_python: bool = False
    has_script: bool = False
    has_activation: bool = False


@dataclass(frozen=True)
class Files:
    """A folder's files, with one that a build begins with.

    Attributes
    ----------
    manifest : Chunk
        A JSON list of them (`FileEntry`).
    start : str
        The Dockerfile, relative to the folder; or the script, with the folder's name before it.
    turn : str
        Another one asks for another build of the same files.
    """

    manifest: Chunk
    start: str
    turn: str = ""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Files:
        """Read the JSON form."""
        known = known_fields(cls, data)
        return cls(**{**known, "manifest": Chunk.from_json(data["manifest"])})


@dataclass(frozen=True)
class DockerRecipe:
    """All that a Dockerfile's image depends on, as far as it is known before it is built.

    Attributes
    ----------
    context : Files
        What its steps may copy, the Dockerfile among them.
    bases : tuple of str
        The ids on the host of the images that it starts or copies from, in its order.
    name : str
        What the image is called.
    """

    context: Files
    bases: tuple[str, ...]
    name: str = PROJECTS

    @property
    def digest(self) -> str:
        """The SHA-256 of all of it, in hexadecimal."""
        return _digest(self)

    @property
    def tag(self) -> str:
        """What the image is called on a host."""
        return f"{NAMESPACE}/{self.name}:{self.digest[:12]}"

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> DockerRecipe:
        """Read the JSON form."""
        known = known_fields(cls, data)
        known["context"] = Files.from_json(data["context"])
        known["bases"] = tuple(str(each) for each in data["bases"])
        return cls(**known)


@dataclass(frozen=True)
class Recipe:
    """All that an image is made of.

    Attributes
    ----------
    base : str
        The base image, as the user names it.
    base_digest : str
        Its id on the host.
    wheels : tuple of Wheel
        What is installed over it, by name.
    name : str
        What the image is called: ``env`` for that of a project.
    debs : tuple of Deb
        What is installed below the wheels, by name.
    conda : tuple of CondaPackage
        What is installed directly over the base; each after those that it needs.
    script : Files or None
        What is run over the base; such a recipe has no packages.
    """

    base: str
    base_digest: str
    wheels: tuple[Wheel, ...] = ()
    name: str = PROJECTS
    debs: tuple[Deb, ...] = ()
    conda: tuple[CondaPackage, ...] = ()
    script: Files | None = None

    @property
    def has_conda_python(self) -> bool:
        """Whether the image's Python is conda's, not that of the base."""
        return any(package.name == CONDA_PYTHON for package in self.conda)

    @property
    def digest(self) -> str:
        """The SHA-256 of all of it, in hexadecimal."""
        return _digest(self)

    @property
    def tag(self) -> str:
        """What the image is called on a host."""
        return f"{NAMESPACE}/{self.name}:{self.digest[:12]}"

    @property
    def chunks(self) -> tuple[Chunk, ...]:
        """The packages' bytes, which a host needs to build it."""
        packages: tuple[Package, ...] = (*self.conda, *self.debs, *self.wheels)
        return tuple(chunk for each in packages for chunk in each.chunks)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Recipe:
        """Read the JSON form."""
        known = known_fields(cls, data)
        known["wheels"] = tuple(Wheel.from_json(wheel) for wheel in data["wheels"])
        known["debs"] = tuple(Deb.from_json(deb) for deb in data.get("debs", ()))
        known["conda"] = tuple(CondaPackage.from_json(each) for each in data.get("conda", ()))
        known["script"] = Files.from_json(data["script"]) if data.get("script") else None
        return cls(**known)


def stage_head(tag: str) -> str:
    """Return what the names of an image's stages begin with, by its own."""
    return f"{tag}-stage"


def _digest(recipe: Recipe | DockerRecipe) -> str:
    return hashlib.sha256(json.dumps(to_json(recipe), sort_keys=True).encode()).hexdigest()

"""What an image is built of: a base, Debian packages and wheels, each by its digest.

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
        What is installed between the two, by name.
    """

    base: str
    base_digest: str
    wheels: tuple[Wheel, ...] = ()
    name: str = PROJECTS
    debs: tuple[Deb, ...] = ()

    @property
    def digest(self) -> str:
        """The SHA-256 of all of it, in hexadecimal."""
        text = json.dumps(to_json(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def tag(self) -> str:
        """What the image is called on a host."""
        return f"{NAMESPACE}/{self.name}:{self.digest[:12]}"

    @property
    def chunks(self) -> tuple[Chunk, ...]:
        """What a host needs to build it."""
        packages: tuple[Package, ...] = (*self.debs, *self.wheels)
        return tuple(chunk for each in packages for chunk in each.chunks)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Recipe:
        """Read the JSON form."""
        known = known_fields(cls, data)
        known["wheels"] = tuple(Wheel.from_json(wheel) for wheel in data["wheels"])
        known["debs"] = tuple(Deb.from_json(deb) for deb in data.get("debs", ()))
        return cls(**known)

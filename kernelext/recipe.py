"""What an image is built of: a base and wheels, each by its digest. Standard library only."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kernelext.models import Chunk, known_fields, to_json

NAMESPACE = "kernelext"  # of our images: no registry is asked for them
PROJECTS = "env"


def normal_name(name: str) -> str:
    """Return the one spelling of a distribution's name (PEP 503).

    Examples
    --------
    >>> normal_name("Scikit_Learn")
    'scikit-learn'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True)
class Wheel:
    """A built distribution (the binary distribution format of the Python packaging guide).

    Attributes
    ----------
    name : str
        Of the distribution, normalised.
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
    def from_json(cls, data: Mapping[str, Any]) -> Wheel:
        """Read the JSON form."""
        known = known_fields(cls, data)
        known["chunks"] = tuple(Chunk.from_json(chunk) for chunk in data["chunks"])
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
    """

    base: str
    base_digest: str
    wheels: tuple[Wheel, ...] = ()
    name: str = PROJECTS

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
        return tuple(chunk for wheel in self.wheels for chunk in wheel.chunks)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Recipe:
        """Read the JSON form."""
        known = known_fields(cls, data)
        known["wheels"] = tuple(Wheel.from_json(wheel) for wheel in data["wheels"])
        return cls(**known)

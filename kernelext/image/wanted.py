"""What an environment is to hold, as its project says it: not yet resolved."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


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
    local : tuple of str
        Folders, and addresses of Git, of packages that are built here.
    python : str
        The version that the base has to have, as far as it is said.
    apt : tuple of str
        Debian packages.
    """

    source: str
    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    local: tuple[str, ...] = ()
    python: str = ""
    apt: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """The SHA-256 of what is wanted, in hexadecimal."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Wanted:
        """Read the JSON form."""
        names = ("requirements", "constraints", "local", "apt")
        lists = {key: tuple(data.get(key, ())) for key in names}
        return cls(str(data["source"]), python=str(data.get("python", "")), **lists)


def project_key(project: Path) -> str:
    """Name a project's files here."""
    return hashlib.sha256(str(project).encode()).hexdigest()[:16]

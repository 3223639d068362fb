"""What the user has said of hosts and limits, as the other rooms see it. Reads no file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class HostConfig:
    """How to reach a host and what it offers, from the user's file or an SSH alias.

    Attributes
    ----------
    name : str
        What the user calls it; ``local`` is the machine of the notebook.
    ssh : str or None
        The alias or ``[user@]address[:port]`` for SSH, if it is reached so.
    context : str or None
        The Docker context of its engine, if it is reached so; ``local`` has neither.
    transport : str
        What carries SSH: ``paramiko``, or ``openssh`` for the program itself.
    image : str or None
        Default image of cells.
    daemon_image : str
        Image of the daemon's own container.
    state_dir : str
        Where the daemon keeps its state on the host.
    slots : int or None
        Overrides what the daemon computes.
    pickles : str
        ``load``, or ``keep``: nothing from this host is read that could run code here.
    source : str
        Where the name was found, for people.
    """

    name: str
    ssh: str | None = None
    context: str | None = None
    transport: str = "paramiko"
    image: str | None = None
    daemon_image: str = "python:3.11-slim"
    state_dir: str = "/var/lib/kernelext"
    slots: int | None = None
    pickles: str = "load"
    source: str = ""

    @property
    def is_local(self) -> bool:
        """Whether cells run on this machine without an engine."""
        return self.ssh is None and self.context is None

    @property
    def loads_pickles(self) -> bool:
        """Whether this host's results may run code in the notebook."""
        return self.pickles == "load"


@dataclass(frozen=True)
class ImageTable:
    """What ``[image]`` of the project's `kernelext.toml` asks for.

    Attributes
    ----------
    source : str
        A file of the project, or ``imports``: what its programs and notebooks import.
    base : str or None
        The base image; None takes each host's own.
    packages : tuple of str
        Requirements besides.
    apt : tuple of str
        Debian packages.
    """

    source: str = "imports"
    base: str | None = None
    packages: tuple[str, ...] = ()
    apt: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settings:
    """The user's and the project's `kernelext.toml`, merged.

    Attributes
    ----------
    owner : str
        Who the runs belong to.
    default_host : str
    hosts : mapping of str to HostConfig
        The user's own host tables.
    image : str or None
        The project's default image.
    environment : ImageTable or None
        What the project's image is built of, where it is not a ready one.
    upload_limit_bytes : int
        A bundle above this is refused.
    lost_after_s : float
        Silence after which an attempt is given up.
    env : mapping of str to str or True
        Environment variables that every cell gets; True takes the notebook's own value.
    """

    owner: str
    default_host: str = "local"
    hosts: Mapping[str, HostConfig] = field(default_factory=dict)
    image: str | None = None
    environment: ImageTable | None = None
    upload_limit_bytes: int = 2 * 1024**3
    lost_after_s: float = 600.0
    env: Mapping[str, str | bool] = field(default_factory=dict, repr=False)

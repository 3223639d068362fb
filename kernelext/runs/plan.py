"""What is to be run: a cell, its variables and files, the folds and the hosts."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kernelext.bundle import Baseline, Snapshot
from kernelext.hosts.config import HostConfig
from kernelext.image import Environment
from kernelext.models import Limits

STAR = "*"


def new_run_id() -> str:
    """Make an id that is unique for all practical purposes and short enough to type."""
    return secrets.token_hex(5)


@dataclass(frozen=True)
class RunPlan:
    """A run before it is submitted.

    Attributes
    ----------
    run : str
        Its id.
    kind : str
        ``remote`` or ``folds``.
    title, code, filename : str
    owner : str
    hosts : tuple of HostConfig
    folds : mapping of str to mapping
        The variables that only this fold reads, by the fold's label.
    inputs : mapping of str to object
        The variables that all folds read.
    outputs : tuple of str
        Names to bring home; ``*`` stands for what only the host knows that the cell binds.
    compare : bool
        Whether inputs that the cell changed come home too.
    namespace : dict
        The notebook's, for functions that are rebuilt over another one.
    snapshot : Snapshot or None
    image : str or None
        For every host; None leaves it to the host's own, then to the project's.
    project_image : str or None
    environment : Environment or None
        What the project's image is built of, on hosts that have images.
    limits : Limits
    env : mapping of str to str
    packages : mapping of str to str
        Versions here of what the cell imports or its inputs come from.
    language : str
        Of the cell, where it is not Python.
    magic : str
        The cell's first line that needs IPython, as a message names it; empty for none.
    folder : str
        Where in the project the cell runs: POSIX, relative to its root.
    baseline : Baseline or None
        Of the folders into which changed files come home; None where nothing comes.
    futures : tuple of str
        Features of `__future__` that earlier cells of the notebook have imported.
    lost_after_s : float
    upload_limit_bytes : int
        For variables and files together, on each host.
    """

    run: str
    kind: str
    title: str
    code: str
    filename: str
    owner: str
    hosts: tuple[HostConfig, ...]
    folds: Mapping[str, Mapping[str, object]]
    inputs: Mapping[str, object] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    compare: bool = True
    namespace: dict[str, Any] = field(default_factory=dict)
    snapshot: Snapshot | None = None
    image: str | None = None
    project_image: str | None = None
    environment: Environment | None = None
    limits: Limits = field(default_factory=Limits)
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    packages: Mapping[str, str] = field(default_factory=dict)
    language: str = ""
    magic: str = ""
    folder: str = "."
    baseline: Baseline | None = None
    futures: tuple[str, ...] = ()
    lost_after_s: float = 600.0
    upload_limit_bytes: int = 2 * 1024**3

    def environment_on(self, host: HostConfig) -> Environment | None:
        """Return what the image on a host is built of; None where it is a ready one."""
        return None if self.image or host.is_local else self.environment

    @property
    def versions_step(self) -> str:
        """What brings this machine's versions into the image; nothing where the user chose them."""
        is_chosen = self.image or (self.environment is not None and self.environment.is_written)
        if is_chosen:
            return ""
        return "; `%remote image build` makes one with the versions of this machine"

    def image_on(self, host: HostConfig) -> str:
        """Return the image of this run on a host; empty is the host's default."""
        project = None if host.is_local else self.project_image
        return self.image or host.image or project or ""

    @property
    def names_outputs(self) -> bool:
        """Whether the user named what comes home; else the cell's text did, and may do more."""
        return STAR not in self.outputs

    @property
    def whole_host(self) -> bool:
        """Whether a fold occupies all of its host: a plain cell does, unless it says less."""
        limits = self.limits
        asks_for_less = limits.cpus is not None or limits.memory_bytes is not None
        asks_for_less = asks_for_less or (limits.gpus or 0) > 0
        return self.kind == "remote" and not asks_for_less

"""A project's environment: what it wants, as an image on whatever host a cell goes to."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kernelext.errors import ImageNotFound
from kernelext.hosts.config import HostConfig
from kernelext.image.dockerfile import DockerfileBuild
from kernelext.image.finding import find_image
from kernelext.image.importing import IMPORTED
from kernelext.image.jobs import Check, Say
from kernelext.image.locals import fingerprint
from kernelext.image.notes import Notes
from kernelext.image.packages import Packages
from kernelext.image.resolving import count_packages
from kernelext.image.satisfying import satisfies
from kernelext.image.script import ScriptBuild
from kernelext.image.wanted import Wanted, project_key
from kernelext.link import HostLink
from kernelext.recipe import NAMESPACE, PROJECTS, Recipe


@dataclass(frozen=True)
class Built:
    """An image that is on a host.

    Attributes
    ----------
    tag : str
        What it is called there.
    packages : Recipe or None
        What was installed, if anything was asked for.
    """

    tag: str
    packages: Recipe | None


class Environment:
    """Builds a project's image where it is not yet, and knows where it is.

    Parameters
    ----------
    project : Path
    wanted : Wanted
    base : str or None
        The base image; None takes each host's own.
    home : Path
        The user's data folder.
    environ : mapping of str to str
    name : str
        What the image is called: ``env`` for a project's.
    """

    def __init__(
        self,
        project: Path,
        wanted: Wanted,
        base: str | None,
        home: Path,
        environ: Mapping[str, str],
        name: str = PROJECTS,
    ) -> None:
        self.wanted = wanted
        self._name = name
        self._base = base
        key = project_key(project) if name == PROJECTS else f"recipe-{name}"
        self._lock = threading.Lock()
        owner = str(project) if name == PROJECTS else f"the recipe {name}"
        path = home / "images" / f"{key}.json"
        stamp = fingerprint(wanted.local, wanted.requirements)
        self._notes = Notes(path, f"{wanted.digest} {stamp}", owner)
        self._packages = Packages(project, wanted, home, environ, self._notes, self._lock)

    @property
    def is_written(self) -> bool:
        """Whether a file of the project says what it holds; else it is what is imported."""
        return self.wanted.source != IMPORTED

    def base_on(self, host: HostConfig) -> str:
        """Return the base image on a host; empty is the host's default."""
        return self._base or host.image or ""

    def base_name(self, host: HostConfig) -> str:
        """Return what the base image on a host is called, or the Dockerfile that says it."""
        if self.wanted.dockerfile is not None:
            return self.wanted.dockerfile.start
        return self.base_on(host) or host.daemon_image

    def ready(self, link: HostLink, say: Say, check: Check, others: Iterable[HostLink] = ()) -> str:
        """Have the image on a host, and return what it is called there.

        Nothing is asked of a host that is known to have it, beyond what any image is asked.

        Parameters
        ----------
        link : HostLink
            Connected.
        say : callable
            Told what is being done, a few words each time.
        check : callable
            Raises when the user wants it to stop.
        others : iterable of HostLink
            Connected hosts that may have the base.

        Raises
        ------
        ImageBuildError
            It cannot be resolved or fetched.
        EngineError, DiskFull, ImageNotFound
            The host cannot build it.
        """
        return self.find(link) or self.build(link, say, check, others).tag

    def find(self, link: HostLink) -> str:
        """Return what the image is called on a host that has it, base or none; else nothing.

        Raises
        ------
        EngineError
            The host cannot look.
        """
        for tag in self.known_tags(link.host):
            with contextlib.suppress(ImageNotFound):  # somebody has removed it, or never brought
                link.image(tag, pulls=False)
                self._note(link.host, tag)
                return tag
        return ""

    def adopt(self, link: HostLink, tag: str) -> bool:
        """Have cells use an image that came to a host otherwise than by a build of ours.

        Returns
        -------
        bool
            Whether it has what the project asks for.
        """
        is_known = tag in self.known_tags(link.host)
        if not is_known and not satisfies(link.image(tag, pulls=False), self.wanted):
            return False
        self._note(link.host, tag)
        return True

    def build(
        self, link: HostLink, say: Say, check: Check, others: Iterable[HostLink] = ()
    ) -> Built:
        """Build the image on a host, unless it is there; see `ready`."""
        wanted, notes = self.wanted, self._notes.read()
        turn, is_elsewhere = str(notes.get("turn", "")), bool(notes.get("hosts"))
        made: list[str] = []
        base = self.base_on(link.host)
        if wanted.dockerfile is not None:
            is_fresh = self._packages.is_upgrade
            dockerfile = DockerfileBuild(wanted.dockerfile, self._name, turn, is_fresh)
            made += dockerfile.build(link, others, say, check, is_elsewhere=is_elsewhere)
        else:
            self._find_base(link, base, others, say, check)
        below = made[-1] if made else base
        packages: Recipe | None = None
        is_more = wanted.has_packages or wanted.asks_other_python(link.image(below).python)
        if is_more or not (made or wanted.script):
            packages = self._packages.build(link, below, self._name, say, check)
            below = packages.tag
            made.append(below)
        if wanted.script is not None:
            script = ScriptBuild(wanted.script, self._name, turn)
            holders = others if is_elsewhere else ()
            made.append(script.build(link, below, holders, say, check).tag)
        for tag in made:
            self._notes.note_built(tag)
        if self._packages.is_upgrade:
            self._notes.forget_others(made[-1])
        self._note(link.host, made[-1], made[:-1])
        return Built(made[-1], packages)

    def _find_base(
        self, link: HostLink, base: str, others: Iterable[HostLink], say: Say, check: Check
    ) -> None:
        try:
            find_image(link, base, others, say, check)
        except ImageNotFound as exc:
            if not base.startswith(f"{NAMESPACE}/"):
                raise
            raise ImageNotFound(
                f"{base}, the base of this project's image, is on none of the hosts that were"
                " asked: build it again where it is from (`image build` in its project, or of its"
                " recipe), or name another base in [image]"
            ) from exc

    def upgrade(self) -> None:
        """Choose versions afresh at the next build, and have every step carried out again.

        What there is stays in use until a host has the new image.
        """
        self._packages.upgrade()
        if self.wanted.dockerfile or self.wanted.script:
            self._notes.write({**self._notes.read(), "turn": secrets.token_hex(4)})

    # what is known

    def known_tags(self, host: HostConfig) -> list[str]:
        """Return what the image may be called on a host, the likeliest first; asks nobody.

        Besides what was there last: what hosts with the same base have. It may have been loaded
        or sent, to a host that has no base to build it over.
        """
        return self._notes.tags(host.name, self.base_name(host))

    def is_noted(self, host: HostConfig) -> bool:
        """Whether a host had the image when it was last asked; asks nobody."""
        return self._notes.has(host.name, self.base_name(host))

    def count_packages(self) -> int:
        """Return how many packages have been chosen; 0 before that, and where there are none."""
        locks = self._notes.read().get("locks", {}).values()
        return max((count_packages(lock) for lock in locks), default=0)

    def _note(self, host: HostConfig, tag: str, below: Sequence[str] = ()) -> None:
        with self._lock:
            self._notes.note_host(host.name, self.base_name(host), tag, below)

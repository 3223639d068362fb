"""A project's environment: what it wants, as an image on whatever host a cell goes to."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from kernelext.errors import ImageBuildError, ImageNotFound
from kernelext.hosts.config import HostConfig
from kernelext.hosts.sizes import size_text
from kernelext.image.choosing import Chooser
from kernelext.image.conda import Record, resolve_conda
from kernelext.image.condapart import CondaPart, fetch_conda_part
from kernelext.image.debian import DPKG_STATUS, OS_RELEASE, Release, resolve_debs
from kernelext.image.dockerfile import DockerfileBuild
from kernelext.image.finding import find_image
from kernelext.image.importing import IMPORTED
from kernelext.image.jobs import Check, Say, finish
from kernelext.image.locals import fingerprint
from kernelext.image.notes import Notes
from kernelext.image.pyprojects import indexes_of
from kernelext.image.resolving import Pin, count_packages, read_lock
from kernelext.image.satisfying import satisfies
from kernelext.image.script import ScriptBuild
from kernelext.image.target import Target
from kernelext.image.wanted import Wanted, project_key
from kernelext.image.wheelhouse import Wheelhouse
from kernelext.link import HostLink
from kernelext.models import CHUNK_BYTES, ImageFacts
from kernelext.recipe import NAMESPACE, PROJECTS, Deb, Package, Recipe, Wheel, normal_name


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
        self._project = project
        self._base = base
        self._environ = environ
        key = project_key(project) if name == PROJECTS else f"recipe-{name}"
        lines = (*wanted.requirements, *indexes_of(project))
        self._wheels = Wheelhouse(home / "wheels", environ, lines)
        self._chooser = Chooser(wanted, project, self._wheels, environ)
        self._debs = Wheelhouse(home / "debs")
        self._conda = Wheelhouse(home / "conda")
        self._channels = home / "channels"
        self._lock = threading.Lock()
        self._upgraded: set[str] | None = None
        owner = str(project) if name == PROJECTS else f"the recipe {name}"
        path = home / "images" / f"{key}.json"
        stamp = fingerprint(wanted.local, wanted.requirements)
        self._notes = Notes(path, f"{wanted.digest} {stamp}", owner)

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
            is_fresh = self._upgraded is not None
            dockerfile = DockerfileBuild(wanted.dockerfile, self._name, turn, is_fresh)
            made += dockerfile.build(link, others, say, check, is_elsewhere=is_elsewhere)
        else:
            self._find_base(link, base, others, say, check)
        below = made[-1] if made else base
        packages: Recipe | None = None
        is_more = wanted.has_packages or self._asks_other_python(link.image(below))
        if is_more or not (made or wanted.script):
            packages = self._build_packages(link, below, say, check)
            below = packages.tag
            made.append(below)
        if wanted.script is not None:
            script = ScriptBuild(wanted.script, self._name, turn)
            holders = others if is_elsewhere else ()
            made.append(script.build(link, below, holders, say, check).tag)
        for tag in made:
            self._notes.note_built(tag)
        if self._upgraded is not None:
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

    def _build_packages(self, link: HostLink, base: str, say: Say, check: Check) -> Recipe:
        """Have what is to be installed over an image that is there."""
        facts = link.image(base)
        with self._lock:
            target = Target.of(facts, base)
            self._require_python(facts.python, base)
            conda = self._conda_part(facts, target, base, say, check)
            there: Mapping[str, str] = facts.packages
            if conda.python:
                target, there = replace(target, python=conda.python), conda.distributions
            pins = self._absent_pins(there, self._pins(target, conda, say, check))
            wheels = self._wheels.fetch(Wheel, pins, say, check)
            deb_pins = self._deb_pins(link, base, facts.digest, say, check)
            debs = self._debs.fetch(Deb, deb_pins, say, check)
        paths: dict[Package, Path] = dict(zip(wheels, map(self._wheels.path, pins), strict=True))
        paths.update(zip(debs, map(self._debs.path, deb_pins), strict=True))
        paths.update(conda.paths)
        ordered = tuple(sorted(wheels, key=lambda each: each.name))
        recipe = Recipe(base, facts.digest, ordered, self._name, tuple(debs), conda.packages)
        self._build_there(link, recipe, paths, say, check)
        return recipe

    def upgrade(self) -> None:
        """Choose versions afresh at the next build, and have every step carried out again.

        What there is stays in use until a host has the new image.
        """
        self._upgraded = set()
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

    # from what is wanted to packages

    def _pins(self, target: Target, conda: CondaPart, say: Say, check: Check) -> tuple[Pin, ...]:
        notes = self._notes.read()
        locks = notes.setdefault("locks", {})
        with self._choosing(f"wheels {target.key}") as is_afresh:
            if is_afresh or not self._chooser.is_whole(locks.get(target.key, ""), target):
                known = locks.get(target.key) or notes.get("earlier", {}).get(target.key, "")
                earlier = "" if is_afresh else known
                locks[target.key] = self._chooser.lock(target, conda, earlier, say, check)
                self._notes.write(notes)
        return read_lock(locks.get(target.key, ""), target)

    def _conda_part(
        self, facts: ImageFacts, target: Target, base: str, say: Say, check: Check
    ) -> CondaPart:
        """Return what is from conda's channels: a Python alone only where the base has another."""
        if not self.wanted.conda_names and not self._asks_other_python(facts):
            return CondaPart()
        try:
            records = self._conda_records(target.platform, say, check)
        except ImageBuildError as exc:
            if self.wanted.conda_names:
                raise
            raise ImageBuildError(
                f"{self.wanted.source} asks for Python {self.wanted.python}, and"
                f" {base or 'the image'} has {facts.python}: name a base with Python"
                f" {self.wanted.python} in [image]; conda's is not to be had, as {exc}"
            ) from exc
        return fetch_conda_part(records, self._conda, say, check)

    def _asks_other_python(self, facts: ImageFacts) -> bool:
        asked = self.wanted.python
        return bool(asked) and not f"{facts.python}.".startswith(f"{asked}.")

    def _require_python(self, version: str, base: str) -> None:
        """Refuse a base whose Python the project does not take."""
        if not self.wanted.takes_python(version):
            asked = self.wanted.requires_python
            raise ImageBuildError(
                f"{self.wanted.source} asks for Python {asked}, and {base or 'the image'} has"
                f" {version}: name a base with such a Python in [image]"
            )

    def _conda_records(self, platform: str, say: Say, check: Check) -> list[Record]:
        """Return what conda's packages are, chosen once for a machine and a C library."""
        notes = self._notes.read()
        locks = notes.setdefault("conda", {})
        with self._choosing(f"conda {platform}") as is_afresh:
            if is_afresh or platform not in locks:
                say(f"resolving conda's packages of {self.wanted.source}")
                earlier = () if is_afresh else notes.get("earlier_conda", {}).get(platform, ())
                locks[platform] = resolve_conda(
                    self.wanted, platform, self._channels, self._environ, earlier, check
                )
                self._notes.write(notes)
        found: list[Record] = locks[platform]
        return found

    def _deb_pins(
        self, link: HostLink, base: str, base_digest: str, say: Say, check: Check
    ) -> list[Pin]:
        """Return what the Debian packages are, chosen once for a base."""
        if not self.wanted.apt:
            return []
        notes = self._notes.read()
        locks = notes.setdefault("debs", {})
        key = " ".join([base_digest, *self.wanted.apt])  # whatever else is wanted
        with self._choosing(f"debs {key}") as is_afresh:
            if is_afresh or key not in locks:
                say("resolving Debian packages")
                os_release, status = link.read_image(base_digest, (OS_RELEASE, DPKG_STATUS))
                release = Release.of(os_release, status, base)
                found = resolve_debs(self.wanted.apt, release, self._environ, check)
                locks[key] = [asdict(pin) for pin in found]
                self._notes.write(notes)
        return [Pin.from_json(pin) for pin in locks[key]]

    @contextlib.contextmanager
    def _choosing(self, what: str) -> Iterator[bool]:
        """Say whether versions are to be chosen afresh: in an upgrade, once."""
        is_afresh = self._upgraded is not None and what not in self._upgraded
        yield is_afresh
        if self._upgraded is not None:
            self._upgraded.add(what)

    def _absent_pins(self, packages: Mapping[str, str], pins: Sequence[Pin]) -> list[Pin]:
        """Leave out what the image below has in the same version, but what is one's own."""
        there = {normal_name(name): version for name, version in packages.items()}
        return [
            pin
            for pin in pins
            if pin.url.startswith("file:") or there.get(normal_name(pin.name)) != pin.version
        ]

    # on the host

    def _build_there(
        self,
        link: HostLink,
        recipe: Recipe,
        paths: Mapping[Package, Path],
        say: Say,
        check: Check,
    ) -> None:
        def send(missing: Sequence[str]) -> None:
            self._send(link, missing, paths, say, check)

        finish(link, lambda: link.build(recipe), send, say, check)

    def _send(
        self,
        link: HostLink,
        missing: Sequence[str],
        paths: Mapping[Package, Path],
        say: Say,
        check: Check,
    ) -> None:
        places = {
            chunk.digest: (path, number * CHUNK_BYTES, chunk.size_bytes)
            for package, path in paths.items()
            for number, chunk in enumerate(package.chunks)
        }
        say(f"sending {size_text(sum(places[digest][2] for digest in missing))} of packages")

        def read() -> Iterator[tuple[str, bytes]]:
            for digest in missing:
                check()
                path, offset, size_bytes = places[digest]
                with path.open("rb") as file:
                    file.seek(offset)
                    yield digest, file.read(size_bytes)

        link.put(read())

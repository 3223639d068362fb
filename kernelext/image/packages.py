"""What is installed over a base image: chosen once, fetched here, sent, built there."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from kernelext.errors import ImageBuildError
from kernelext.hosts.sizes import size_text
from kernelext.image.choosing import Chooser
from kernelext.image.conda import Record, resolve_conda
from kernelext.image.condapart import CondaPart, fetch_conda_part
from kernelext.image.debian import DPKG_STATUS, OS_RELEASE, Release, resolve_debs
from kernelext.image.jobs import Check, Say, finish
from kernelext.image.notes import Notes
from kernelext.image.pyprojects import indexes_of
from kernelext.image.resolving import Pin, read_lock
from kernelext.image.target import Target
from kernelext.image.wanted import Wanted
from kernelext.image.wheelhouse import Wheelhouse
from kernelext.link import HostLink
from kernelext.models import CHUNK_BYTES, ImageFacts
from kernelext.recipe import Deb, Package, Recipe, Wheel, normal_name


class Packages:
    """An environment's packages; what is chosen of them stands in its notes.

    Parameters
    ----------
    project : Path
    wanted : Wanted
    home : Path
        The user's data folder.
    environ : mapping of str to str
    notes : Notes
    lock : Lock
        Of the notes.
    """

    def __init__(
        self,
        project: Path,
        wanted: Wanted,
        home: Path,
        environ: Mapping[str, str],
        notes: Notes,
        lock: threading.Lock,
    ) -> None:
        self._wanted = wanted
        self._environ = environ
        self._notes = notes
        self._lock = lock
        lines = (*wanted.requirements, *indexes_of(project))
        self._wheels = Wheelhouse(home / "wheels", environ, lines)
        self._chooser = Chooser(wanted, project, self._wheels, environ)
        self._debs = Wheelhouse(home / "debs")
        self._conda = Wheelhouse(home / "conda")
        self._channels = home / "channels"
        self._upgraded: set[str] | None = None

    @property
    def is_upgrade(self) -> bool:
        """Whether what was chosen before does not count."""
        return self._upgraded is not None

    def upgrade(self) -> None:
        """Choose everything afresh, once."""
        self._upgraded = set()

    def build(self, link: HostLink, base: str, name: str, say: Say, check: Check) -> Recipe:
        """Choose, fetch, send and install what is wanted over an image that is there.

        Parameters
        ----------
        link : HostLink
            Connected.
        base : str
            Empty for the host's default image.
        name : str
            What the image is called.
        say : callable
            Told what is being done, a few words each time.
        check : callable
            Raises when the user wants it to stop.

        Raises
        ------
        ImageBuildError
            It cannot be resolved or fetched.
        EngineError, DiskFull
            The host cannot build it.
        """
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
        recipe = Recipe(base, facts.digest, ordered, name, tuple(debs), conda.packages)
        self._build_there(link, recipe, paths, say, check)
        return recipe

    # what is chosen

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
        if not self._wanted.conda_names and not self._wanted.asks_other_python(facts.python):
            return CondaPart()
        try:
            records = self._conda_records(target.platform, say, check)
        except ImageBuildError as exc:
            if self._wanted.conda_names:
                raise
            raise ImageBuildError(
                f"{self._wanted.source} asks for Python {self._wanted.python}, and"
                f" {base or 'the image'} has {facts.python}: name a base with Python"
                f" {self._wanted.python} in [image]; conda's is not to be had, as {exc}"
            ) from exc
        return fetch_conda_part(records, self._conda, say, check)

    def _require_python(self, version: str, base: str) -> None:
        """Refuse a base whose Python the project does not take."""
        if not self._wanted.takes_python(version):
            asked = self._wanted.requires_python
            raise ImageBuildError(
                f"{self._wanted.source} asks for Python {asked}, and {base or 'the image'} has"
                f" {version}: name a base with such a Python in [image]"
            )

    def _conda_records(self, platform: str, say: Say, check: Check) -> list[Record]:
        """Return what conda's packages are, chosen once for a machine and a C library."""
        notes = self._notes.read()
        locks = notes.setdefault("conda", {})
        with self._choosing(f"conda {platform}") as is_afresh:
            if is_afresh or platform not in locks:
                say(f"resolving conda's packages of {self._wanted.source}")
                earlier = () if is_afresh else notes.get("earlier_conda", {}).get(platform, ())
                locks[platform] = resolve_conda(
                    self._wanted, platform, self._channels, self._environ, earlier, check
                )
                self._notes.write(notes)
        found: list[Record] = locks[platform]
        return found

    def _deb_pins(
        self, link: HostLink, base: str, base_digest: str, say: Say, check: Check
    ) -> list[Pin]:
        """Return what the Debian packages are, chosen once for a base."""
        if not self._wanted.apt:
            return []
        notes = self._notes.read()
        locks = notes.setdefault("debs", {})
        key = " ".join([base_digest, *self._wanted.apt])  # whatever else is wanted
        with self._choosing(f"debs {key}") as is_afresh:
            if is_afresh or key not in locks:
                say("resolving Debian packages")
                os_release, status = link.read_image(base_digest, (OS_RELEASE, DPKG_STATUS))
                release = Release.of(os_release, status, base)
                found = resolve_debs(self._wanted.apt, release, self._environ, check)
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

"""Has containers make the pieces of an image's layers that are not here yet."""

from __future__ import annotations

import contextlib
import json
import os
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernelext.daemon.activation import read_activation
from kernelext.daemon.condascripts import scripts_of
from kernelext.daemon.debs import installation_of
from kernelext.daemon.docker_api import DockerAPI, DockerError, engine_problem
from kernelext.daemon.engine import SAID_LINES, Say
from kernelext.daemon.installing import Installation, install
from kernelext.daemon.layers import (
    AnyLayer,
    DebLayer,
    Layer,
    PostBuildLayer,
    ScriptLayer,
    WhiteoutLayer,
)
from kernelext.daemon.script import script_of
from kernelext.errors import EngineError
from kernelext.recipe import CondaPackage, Package

BUILD_MOUNT = "/kernelext/build"
OLDER_VERSIONS = "what replaces the base's versions"


@dataclass(frozen=True)
class Containers:
    """The configurations of the containers that make pieces.

    Attributes
    ----------
    builder : callable
        Of the one that writes what packages install, of an image and a folder.
    installer : callable
        Of the one that runs an installation, of an image and a folder; it takes root.
    """

    builder: Callable[[str, Path], dict[str, Any]]
    installer: Callable[[str, Path, Installation], dict[str, Any]]


@dataclass(frozen=True)
class Work:
    """What one build has.

    Attributes
    ----------
    folder : Path
        The same on the host as here; its name is that of its containers.
    fetch : callable
        Places a package at a path.
    say : callable
        Told what is being done, a JSON object each time.
    """

    folder: Path
    fetch: Callable[[Package, Path], None]
    say: Say


class Pieces:
    """The pieces that are here.

    Parameters
    ----------
    api : DockerAPI
    folder : Path
    containers : Containers
    """

    def __init__(self, api: DockerAPI, folder: Path, containers: Containers) -> None:
        self.folder = folder
        self._api = api
        self._containers = containers

    def lacks(self, layers: Sequence[AnyLayer]) -> bool:
        """Whether one has to be made for some layers."""
        return not all(self._has(piece) for layer in layers for piece in layer.pieces)

    def make(self, layers: Sequence[AnyLayer], image: str, work: Work) -> None:
        """Make those of some layers that are not here, in containers of an image.

        Raises
        ------
        EngineError, DiskFull
        """
        self.folder.mkdir(mode=0o700, exist_ok=True)
        for layer in layers:
            if isinstance(layer, (Layer, WhiteoutLayer)) or self._has(layer.name):
                continue
            self._install(layer.name, image, self._installation(layer, work), work)
        self._build(layers, image, work)

    def variables(self, name: str) -> dict[str, str] | None:
        """Return what `activate` has found under a name; None where it was not asked."""
        if not self._has(name):
            return None
        found: dict[str, str] = json.loads((self.folder / name).read_text())
        return found

    def activate(self, name: str, image: str, work: Work) -> dict[str, str]:
        """Find the variables that the packages of conda in an image set, and note them."""
        config = self._containers.builder(image, work.folder)
        found = read_activation(self._api, work.folder.name, config)
        partial = work.folder / name
        partial.write_text(json.dumps(found))
        partial.replace(self.folder / name)
        return found

    def drop(self, layer: AnyLayer) -> None:
        """Remove those of a layer that the engine has."""
        for piece in layer.pieces:
            (self.folder / piece).unlink(missing_ok=True)

    def _has(self, piece: str) -> bool:
        """Whether a piece is here; its mtime says when it was last asked for."""
        try:
            os.utime(self.folder / piece)
        except FileNotFoundError:
            return False
        return True

    # by installing as root

    def _installation(
        self, layer: DebLayer | ScriptLayer | PostBuildLayer, work: Work
    ) -> Installation:
        if isinstance(layer, DebLayer):
            return self._debian(layer, work)
        if isinstance(layer, ScriptLayer):
            return scripts_of(layer.packages, work.say)
        return script_of(layer.script, work.folder, work.say)

    def _debian(self, layer: DebLayer, work: Work) -> Installation:
        (work.folder / "debs").mkdir(exist_ok=True)
        for deb in layer.debs:
            work.fetch(deb, work.folder / "debs" / deb.file_name)
        return installation_of(layer.debs, f"{BUILD_MOUNT}/debs", work.say)

    def _install(self, name: str, image: str, installation: Installation, work: Work) -> None:
        config = self._containers.installer(image, work.folder, installation)
        partial = work.folder / name
        install(self._api, work.folder.name, config, installation, partial)
        partial.replace(self.folder / name)

    # by the builder, which is nobody

    def _build(self, layers: Sequence[AnyLayer], image: str, work: Work) -> None:
        jobs = self._jobs(layers, work)
        if not jobs:
            return
        made_in = work.folder / "pieces"
        made_in.mkdir(exist_ok=True)
        made_in.chmod(0o777)  # the container's user is nobody here; its parent lists for nobody
        (work.folder / "job.json").write_text(json.dumps({"pieces": jobs}))
        self._run_builder(image, len(jobs), work)
        for job in jobs:
            made = made_in / job["out"]
            if made.is_symlink() or not made.is_file():  # the image's own code was at work there
                raise EngineError(f"the image {image} does not build what it is asked for")
            made.replace(self.folder / job["out"])

    def _jobs(self, layers: Sequence[AnyLayer], work: Work) -> list[dict[str, str]]:
        """Say what the builder is to make of some layers, and place what it makes that of."""
        packages = work.folder / "packages"
        packages.mkdir(exist_ok=True)
        jobs: dict[str, dict[str, str]] = {}
        for layer in layers:
            if isinstance(layer, WhiteoutLayer) and not self._has(layer.name):
                (packages / layer.name).write_text("\n".join(layer.names))
                job = {"file": layer.name, "kind": "whiteouts", "name": OLDER_VERSIONS}
                jobs[layer.name] = {**job, "out": layer.name}
            elif isinstance(layer, Layer):
                absent = {name: each for name, each in layer.pieces.items() if not self._has(name)}
                for name, package in absent.items():
                    work.fetch(package, packages / package.file_name)
                    job = {"file": package.file_name, "kind": _kind(package), "name": package.name}
                    jobs[name] = {**job, "out": name}
        return list(jobs.values())

    def _run_builder(self, image: str, count: int, work: Work) -> None:
        name, config = work.folder.name, self._containers.builder(image, work.folder)
        self._api.call("POST", "/containers/create", config, name=name)
        problem, made = "", 0
        last: deque[str] = deque(maxlen=SAID_LINES)
        try:
            self._api.call("POST", f"/containers/{name}/start")
            for line in self._api.texts("GET", f"/containers/{name}/logs", stdout=1, follow=1):
                told = _json_object(line)
                if "made" in told:
                    made += 1
                    work.say({"made": told["made"], "number": made, "of": count})
                problem = str(told.get("error", problem))
                if not told:
                    last.append(line)
            code = self._api.call("POST", f"/containers/{name}/wait")["StatusCode"]
        finally:
            with contextlib.suppress(DockerError):
                self._api.call("DELETE", f"/containers/{name}", force=1, v=1)
        if code or made < count:
            raise engine_problem(
                problem or "\n".join((f"the build container ended with {code}", *last))
            )


def _kind(package: Package) -> str:
    """Name what the builder does with a package."""
    if isinstance(package, CondaPackage):
        return "noarch" if package.is_noarch_python else "conda"
    return "wheel"


def _json_object(line: str) -> Mapping[str, Any]:
    with contextlib.suppress(ValueError):
        found = json.loads(line)
        if isinstance(found, dict):
            return found
    return {}

"""Builds images in a Docker engine without its builder: layers of our own, loaded by their digests.

What `docker build` and `docker commit` make has the time of its making in it. Here the
configuration and every layer depend on the recipe alone, and so does the image's digest
(format: "Docker Image Specification v1.2", as `docker load` reads it).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernelext.daemon.debs import install_debs
from kernelext.daemon.docker_api import DockerAPI, DockerError, engine_problem
from kernelext.daemon.docker_archive import (
    image_config,
    image_digest,
    partial_archive,
    whole_archive,
)
from kernelext.daemon.engine import SAID_LINES, SCRIPT_TAR, Say
from kernelext.daemon.layers import (
    AnyLayer,
    DebLayer,
    Layer,
    LayerTar,
    ScriptLayer,
    deb_layers_of,
    layers_of,
    script_layers_of,
)
from kernelext.daemon.script import run_script
from kernelext.errors import EngineError, ImageNotFound
from kernelext.recipe import NAMESPACE, Package, Recipe

log = logging.getLogger(__name__)

KEPT_BYTES = 256 * 1024**2  # a smaller layer may be stacked otherwise in the next image


@dataclass(frozen=True)
class Containers:
    """The configurations of the containers that make pieces.

    Attributes
    ----------
    builder : callable
        Of the one that writes what wheels install, of an image and a folder.
    installer : callable
        Of the one that installs Debian packages, of an image and a folder; it takes root.
    script : callable
        Of the one that runs a script, of an image, its own name and the script's; it takes root.
    """

    builder: Callable[[str, Path], dict[str, Any]]
    installer: Callable[[str, Path], dict[str, Any]]
    script: Callable[[str, str, str], dict[str, Any]]


class LoadRefused(EngineError):
    """The engine does not take an image in."""


@dataclass(frozen=True)
class Work:
    """What a build has to do, and with what.

    Attributes
    ----------
    recipe : Recipe
    base : mapping
        As the engine inspects it.
    folder : Path
    fetch, say : callable
        See `Engine.build_image`.
    """

    recipe: Recipe
    base: Mapping[str, Any]
    folder: Path
    fetch: Callable[[Package, Path], None]
    say: Say


class DockerImages:
    """The images of one engine.

    Parameters
    ----------
    api : DockerAPI
    folder : Path
        For pieces, and which layer has which digest; the same on the host as here.
    containers : Containers
    """

    def __init__(self, api: DockerAPI, folder: Path, containers: Containers) -> None:
        self._api = api
        self._pieces = folder / "pieces"
        self._known_path = folder / "layers.json"
        self._containers = containers

    def build(
        self,
        recipe: Recipe,
        folder: Path,
        fetch: Callable[[Package, Path], None],
        say: Say,
        *,
        takes_parts: bool,
    ) -> str:
        """Build an image, unless it is there; see `Engine.build_image`.

        Parameters
        ----------
        takes_parts : bool
            Whether the engine is likely to take in an image without the layers that it has.
        """
        base = self._base(recipe)
        layers: list[AnyLayer] = [
            *deb_layers_of(recipe),
            *layers_of(recipe),
            *script_layers_of(recipe),
        ]
        work = Work(recipe, base, folder, fetch, say)
        if takes_parts:
            try:
                return self._build(work, layers, self._absent(base, layers))
            except LoadRefused as exc:
                log.info("image.refused in parts, sent as a whole: %s", exc)
        with contextlib.suppress(ImageNotFound):  # which is much to send again
            return self._require(recipe.tag)
        return self._build(work, layers, None)

    def _build(
        self,
        work: Work,
        layers: Sequence[AnyLayer],
        absent: Sequence[AnyLayer] | None,
    ) -> str:
        """Build an image and send the layers that the engine lacks; None: it takes only all."""
        recipe, base = work.recipe, work.base
        sent = layers if absent is None else absent
        for layer in sent:
            if isinstance(layer, DebLayer):
                self._install(layer, work.folder, work.fetch, work.say)
            elif isinstance(layer, ScriptLayer):
                self._run_script(layer, work.folder, work.say)
        wheels = [layer for layer in sent if isinstance(layer, Layer)]
        self._make_pieces(recipe, wheels, work.folder, work.fetch, work.say)
        made = {layer.name: LayerTar(layer, self._pieces) for layer in sent}
        known = self._known()
        known.update({name: tar.diff_id() for name, tar in made.items()})
        self._remember(known)
        work.say({"loading": sum(tar.size_bytes for tar in made.values())})
        tars = {known[name]: tar for name, tar in made.items()}
        diff_ids = [*base["RootFS"]["Layers"], *(known[layer.name] for layer in layers)]
        config = image_config(base, diff_ids)
        if absent is None:
            below = self._api.download(f"/images/{recipe.base_digest}/get")
            self.load(None, whole_archive(recipe.tag, config, below, tars))
            return self._require(recipe.tag)
        self.load(*partial_archive(recipe.tag, config, diff_ids, tars))
        for layer in absent:
            if made[layer.name].size_bytes > KEPT_BYTES:  # the engine has it now
                for piece in layer.pieces:
                    (self._pieces / piece).unlink(missing_ok=True)
        return image_digest(config)

    def _absent(self, base: Mapping[str, Any], layers: Sequence[AnyLayer]) -> list[AnyLayer]:
        """Return the layers that the engine does not have stacked like this."""
        known = self._known()
        stacked = self._stacked()
        below = tuple(base["RootFS"]["Layers"])
        absent = []
        for layer in layers:
            below = (*below, known.get(layer.name, ""))
            if below not in stacked:
                absent.append(layer)
        return absent

    def _base(self, recipe: Recipe) -> dict[str, Any]:
        try:
            found: dict[str, Any] = self._api.call("GET", f"/images/{recipe.base_digest}/json")
        except DockerError as exc:
            if exc.status != 404:
                raise
            raise ImageNotFound(f"the base image {recipe.base} is not on the host") from exc
        return found

    def _known(self) -> dict[str, str]:
        """Return the digests of layers by their names."""
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(self._known_path.read_text())
            if isinstance(found, dict):
                return found
        return {}

    def _remember(self, known: Mapping[str, str]) -> None:
        partial = self._known_path.with_suffix(".new")
        partial.write_text(json.dumps(known))
        partial.replace(self._known_path)

    def _stacked(self) -> set[tuple[str, ...]]:
        """Return the stacks of layers that the engine has of images like ours."""
        filters = json.dumps({"reference": [f"{NAMESPACE}/*"]})
        stacks: set[tuple[str, ...]] = set()
        for each in self._api.call("GET", "/images/json", filters=filters):
            found = self._api.call("GET", f"/images/{each['Id']}/json")
            layers = tuple(found["RootFS"]["Layers"])
            stacks.update(layers[:end] for end in range(1, len(layers) + 1))
        return stacks

    # images as they are

    def list_all(self) -> list[dict[str, Any]]:
        """List the projects' images."""
        filters = json.dumps({"reference": [f"{NAMESPACE}/*"]})
        return [
            {"tag": tag, "digest": str(each["Id"]), "size_bytes": int(each["Size"])}
            for each in self._api.call("GET", "/images/json", filters=filters)
            for tag in each["RepoTags"] or ()
        ]

    def export(self, image: str) -> Iterator[bytes]:
        """Yield an image as a tar."""
        self._require(image)
        return self._api.download(f"/images/{image}/get")

    def load(self, size_bytes: int | None, data: Iterator[bytes]) -> list[str]:
        """Take images in from a tar; what they are called."""
        said = []
        try:
            for line in self._api.upload("/images/load", size_bytes, data, quiet=1):
                if "error" in line:
                    raise LoadRefused(str(line["error"]))
                said += re.findall(r"Loaded image(?: ID)?: (\S+)", str(line.get("stream", "")))
        except (DockerError, LoadRefused) as exc:
            problem = f"the engine does not load the image: {exc}"
            raise engine_problem(problem, LoadRefused) from exc
        return said

    def holders(self, image: str) -> list[str]:
        """Return the names of the containers that were made of an image, anybody's."""
        digest = self._require(image)
        return [
            str(each["Names"][0]).removeprefix("/")
            for each in self._api.call("GET", "/containers/json", all=1)
            if each["ImageID"] == digest and each["Names"]
        ]

    def remove(self, image: str) -> None:
        """Remove an image."""
        self._require(image)
        try:
            self._api.call("DELETE", f"/images/{image}")
        except DockerError as exc:
            held = self.holders(image)
            if not held:
                raise EngineError(f"{image} cannot be removed: {exc}") from exc
            raise EngineError(
                f"{image} cannot be removed: {', '.join(held)} on the host, which kernelext has not"
                f" made, uses it; remove that first (docker rm {held[0]})"
            ) from exc

    def _require(self, image: str) -> str:
        """Return an image's id."""
        try:
            return str(self._api.call("GET", f"/images/{image}/json")["Id"])
        except DockerError as exc:
            if exc.status != 404:
                raise
            raise ImageNotFound(f"the image {image} is not on the host") from exc

    # pieces

    def _install(
        self, layer: DebLayer, folder: Path, fetch: Callable[[Package, Path], None], say: Say
    ) -> None:
        """Have a container of the base install Debian packages, unless their piece is here."""
        self._pieces.mkdir(mode=0o700, exist_ok=True)
        if self._has(layer.name):
            return
        (folder / "debs").mkdir(exist_ok=True)
        for deb in layer.debs:
            fetch(deb, folder / "debs" / deb.file_name)
        config = self._containers.installer(layer.base_digest, folder / "debs")
        partial = folder / layer.name
        install_debs(self._api, folder.name, config, layer.debs, partial, say)
        partial.replace(self._pieces / layer.name)

    def _run_script(self, layer: ScriptLayer, folder: Path, say: Say) -> None:
        """Have a container of the base run a script, unless its piece is here."""
        self._pieces.mkdir(mode=0o700, exist_ok=True)
        if self._has(layer.name):
            return
        config = self._containers.script(layer.base_digest, folder.name, layer.script.start)
        partial = folder / layer.name
        run_script(self._api, folder.name, config, folder / SCRIPT_TAR, partial, say)
        partial.replace(self._pieces / layer.name)

    def _make_pieces(
        self,
        recipe: Recipe,
        layers: Sequence[Layer],
        folder: Path,
        fetch: Callable[[Package, Path], None],
        say: Say,
    ) -> None:
        """Have a container of the base write the pieces that are not here."""
        self._pieces.mkdir(mode=0o700, exist_ok=True)
        wanted = {name: wheel for layer in layers for name, wheel in layer.pieces.items()}
        absent = {name: each for name, each in wanted.items() if not self._has(name)}
        if not absent:
            return
        made_in = folder / "pieces"
        made_in.mkdir(exist_ok=True)
        made_in.chmod(0o777)  # the container's user is nobody here; its parent lists for nobody
        (folder / "wheels").mkdir(exist_ok=True)
        jobs = []
        for name, wheel in absent.items():
            fetch(wheel, folder / "wheels" / wheel.file_name)
            jobs.append({"wheel": wheel.file_name, "name": wheel.name, "out": name})
        (folder / "job.json").write_text(json.dumps({"pieces": jobs}))
        self._run_builder(recipe.base_digest, folder, len(jobs), say)
        for name in absent:
            made = made_in / name
            if made.is_symlink() or not made.is_file():  # the base's own code was at work there
                raise EngineError(f"the image {recipe.base} does not build what it is asked for")
            made.replace(self._pieces / name)

    def _has(self, piece: str) -> bool:
        """Whether a piece is here; its mtime says when it was last asked for."""
        try:
            os.utime(self._pieces / piece)
        except FileNotFoundError:
            return False
        return True

    def _run_builder(self, image: str, folder: Path, count: int, say: Say) -> None:
        name, config = folder.name, self._containers.builder(image, folder)
        self._api.call("POST", "/containers/create", config, name=name)
        problem, made = "", 0
        last: deque[str] = deque(maxlen=SAID_LINES)
        try:
            self._api.call("POST", f"/containers/{name}/start")
            for line in self._api.texts("GET", f"/containers/{name}/logs", stdout=1, follow=1):
                told = _json_object(line)
                if "made" in told:
                    made += 1
                    say({"made": told["made"], "number": made, "of": count})
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


def _json_object(line: str) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        found = json.loads(line)
        if isinstance(found, dict):
            return found
    return {}

"""Builds images in a Docker engine without its builder: layers of our own, loaded by their digests.

What `docker build` and `docker commit` make has the time of its making in it. Here the
configuration and every layer depend on the recipe alone, and so does the image's digest
(format: "Docker Image Specification v1.2", as `docker load` reads it).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kernelext.daemon.docker_api import DockerAPI, DockerError, engine_problem
from kernelext.daemon.docker_archive import image_digest, partial_archive, whole_archive
from kernelext.daemon.engine import Say
from kernelext.daemon.image_config import image_config
from kernelext.daemon.layers import (
    EMPTY_DIFF_ID,
    AnyLayer,
    LayerTar,
    conda_name,
    conda_stages_of,
    stages_of,
)
from kernelext.daemon.pieces import Containers, Pieces, Work
from kernelext.errors import EngineError, ImageNotFound
from kernelext.recipe import NAMESPACE, Package, Recipe

log = logging.getLogger(__name__)

KEPT_BYTES = 256 * 1024**2  # a smaller layer may be stacked otherwise in the next image
GROUND = "ground"  # of images in which others are made


class LoadRefused(EngineError):
    """The engine does not take an image in."""


@dataclass(frozen=True)
class Target:
    """What an image is built from.

    Attributes
    ----------
    base : mapping
        As the engine inspects it.
    recipe : Recipe
    activation : mapping of str to str
        The variables that packages of conda set, as far as they are known.
    is_whole : bool
        Whether the engine takes only images with all their layers.
    """

    base: Mapping[str, Any]
    recipe: Recipe
    activation: Mapping[str, str] = field(default_factory=dict)
    is_whole: bool = False


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
        self._pieces = Pieces(api, folder / "pieces", containers)
        self._known_path = folder / "layers.json"
        self._ground = f"{NAMESPACE}/{GROUND}:{hashlib.sha256(bytes(folder)).hexdigest()[:12]}"

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
        target, work = Target(self._base(recipe), recipe), Work(folder, fetch, say)
        if takes_parts:
            try:
                return self._build(target, work)
            except LoadRefused as exc:
                log.info("image.refused in parts, sent as a whole: %s", exc)
        with contextlib.suppress(ImageNotFound):  # which is much to send again
            return self._require(recipe.tag)
        return self._build(replace(target, is_whole=True), work)

    def _build(self, target: Target, work: Work) -> str:
        """Build an image stage by stage, and have the engine take in what it lacks."""
        recipe = target.recipe
        self._remove_grounds()  # of a daemon that was killed
        layers: list[AnyLayer] = []
        try:
            for number, stage in enumerate(stages_of(recipe)):
                layers += stage.layers
                absent = [layer for layer in self._absent(target, layers) if layer in stage.layers]
                if self._pieces.lacks(absent):
                    image = recipe.base_digest
                    if stage.beneath:
                        tag = f"{self._ground}-{number}"
                        image = self._load(tag, target, stage.beneath, work.say)
                    self._pieces.make(absent, image, work)
                self._know(absent)
            target = replace(target, activation=self._activation(target, work))
            absent = [] if target.is_whole else self._absent(target, layers)
            image = self._load(recipe.tag, target, layers, work.say)
        finally:
            self._remove_grounds()
        for layer in absent:
            if LayerTar(layer, self._pieces.folder).size_bytes > KEPT_BYTES:  # the engine has it
                self._pieces.drop(layer)
        return image

    def _activation(self, target: Target, work: Work) -> dict[str, str]:
        """Return the variables that packages of conda set."""
        if not any(package.has_activation for package in target.recipe.conda):
            return {}
        name = f"{conda_name(target.recipe)}.variables"
        found = self._pieces.variables(name)
        if found is None:
            stages = conda_stages_of(target.recipe)
            layers = [layer for stage in stages for layer in stage.layers]
            image = self._load(f"{self._ground}-variables", target, layers, work.say)
            found = self._pieces.activate(name, image, work)
        return found

    def _load(self, tag: str, target: Target, layers: Sequence[AnyLayer], say: Say) -> str:
        """Give the engine an image of layers over a base; its digest."""
        known = self._known()
        layers = _filled(layers, known)
        diff_ids = [*target.base["RootFS"]["Layers"], *(known[layer.name] for layer in layers)]
        config = image_config(target.base, target.recipe, diff_ids, target.activation)
        absent = self._absent(target, layers)
        tars = {known[layer.name]: LayerTar(layer, self._pieces.folder) for layer in absent}
        say({"loading": sum(tar.size_bytes for tar in tars.values())})
        if target.is_whole:
            below = self._api.download(f"/images/{target.recipe.base_digest}/get")
            self.load(None, whole_archive(tag, config, below, tars))
            return self._require(tag)
        self.load(*partial_archive(tag, config, diff_ids, tars))
        return image_digest(config)

    def _absent(self, target: Target, layers: Sequence[AnyLayer]) -> list[AnyLayer]:
        """Return the layers that the engine does not have stacked like this, or wants again."""
        known = self._known()
        layers = _filled(layers, known)
        if target.is_whole:
            return layers
        stacked = self._stacked()
        below = tuple(target.base["RootFS"]["Layers"])
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

    def _know(self, layers: Sequence[AnyLayer]) -> None:
        """Note the digests of layers whose pieces are here."""
        tars = {layer.name: LayerTar(layer, self._pieces.folder) for layer in layers}
        known = {**self._known(), **{name: tar.diff_id() for name, tar in tars.items()}}
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
            if not tag.startswith(f"{NAMESPACE}/{GROUND}:")
        ]

    def _remove_grounds(self) -> None:
        """Remove the images in which others were made; what these have of their layers stays."""
        filters = json.dumps({"reference": [f"{self._ground}-*"]})
        for each in self._api.call("GET", "/images/json", filters=filters):
            for tag in each["RepoTags"] or ():
                with contextlib.suppress(DockerError):
                    self._api.call("DELETE", f"/images/{tag}")

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


def _filled(layers: Sequence[AnyLayer], known: Mapping[str, str]) -> list[AnyLayer]:
    """Leave out the layers that have nothing: a base seldom has what is installed over it."""
    return [layer for layer in layers if known.get(layer.name) != EMPTY_DIFF_ID]

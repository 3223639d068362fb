"""The layers of an image: which packages share one, and their bytes out of pieces."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Union

from kernelext.recipe import CONDA_PREFIX, CONDA_PYTHON, CondaPackage, Deb, Files, Package, Recipe

LARGE_BYTES = 4_000_000  # such a package has a layer of its own
MAX_LARGE = 60  # of 127 that an engine stacks, the base's among them
MAX_LARGE_CONDA = 16  # for one machine, and as many for any
PIECE_FORMAT = "3"  # of what the builder writes
WHITEOUTS_FORMAT = "whiteouts 1"
CONDA_FORMAT = f"conda 1 {CONDA_PREFIX}"
DEBS_FORMAT = "debs 1"
SCRIPTS_FORMAT = "scripts 1"
POST_BUILD_FORMAT = "script 1"
END_OF_TAR = bytes(1024)
EMPTY_DIFF_ID = f"sha256:{hashlib.sha256(END_OF_TAR).hexdigest()}"  # of a layer with nothing
BLOCK_BYTES = 512
READ_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Layer:
    """Some packages of an image, whose pieces lie one after the other.

    Attributes
    ----------
    packages : tuple of Package
        Wheels, or packages of conda.
    ground : str
        What their pieces depend on besides: the digest of the image in which they are made.
    """

    packages: tuple[Package, ...]
    ground: str

    @property
    def pieces(self) -> dict[str, Package]:
        """The packages by the names of their pieces."""
        return {piece_name(package, self.ground): package for package in self.packages}

    @property
    def name(self) -> str:
        """The same name for the same bytes."""
        return hashlib.sha256(" ".join(self.pieces).encode()).hexdigest()


@dataclass(frozen=True)
class DebLayer:
    """The Debian packages of an image, all in one piece: their installation is one.

    Attributes
    ----------
    debs : tuple of Deb
        Some.
    base_digest : str
        Of the image below.
    """

    debs: tuple[Deb, ...]
    base_digest: str

    @property
    def pieces(self) -> Mapping[str, object]:
        """The name of the one piece."""
        return {self.name: self.debs}

    @property
    def name(self) -> str:
        """The same name for the same bytes."""
        return _name((DEBS_FORMAT, self.base_digest, *sorted(_digests(self.debs))))


@dataclass(frozen=True)
class ScriptLayer:
    """What the scripts change that packages of conda run when all are installed.

    Attributes
    ----------
    packages : tuple of CondaPackage
        Those that have one, in their order.
    ground : str
        What the scripts find.
    """

    packages: tuple[CondaPackage, ...]
    ground: str

    @property
    def pieces(self) -> Mapping[str, object]:
        """The name of the one piece."""
        return {self.name: self.packages}

    @property
    def name(self) -> str:
        """The same name for the same bytes."""
        return _name((SCRIPTS_FORMAT, self.ground, *_digests(self.packages)))


@dataclass(frozen=True)
class PostBuildLayer:
    """What a script of the user's changes, which runs over an image that is whole.

    Attributes
    ----------
    script : Files
    base_digest : str
        Of that image.
    """

    script: Files
    base_digest: str

    @property
    def pieces(self) -> Mapping[str, object]:
        """The name of the one piece."""
        return {self.name: self.script}

    @property
    def name(self) -> str:
        """The same name for the same script over the same image."""
        told = (self.script.manifest.digest, self.script.start, self.script.turn)
        return _name((POST_BUILD_FORMAT, self.base_digest, *told))


@dataclass(frozen=True)
class WhiteoutLayer:
    """What the image below has of distributions that are installed anew: it is taken away.

    It lies below all wheels, so that none of their files goes with it.

    Attributes
    ----------
    names : tuple of str
        The distributions.
    ground : str
        What they may be found in.
    """

    names: tuple[str, ...]
    ground: str

    @property
    def pieces(self) -> Mapping[str, object]:
        """The name of the one piece."""
        return {self.name: self.names}

    @property
    def name(self) -> str:
        """The same name for the same bytes."""
        return _name((WHITEOUTS_FORMAT, self.ground, *sorted(self.names)))


AnyLayer = Union[Layer, DebLayer, ScriptLayer, PostBuildLayer, WhiteoutLayer]


@dataclass(frozen=True)
class Stage:
    """Layers that can be made side by side, in containers of the same image.

    Attributes
    ----------
    layers : tuple of AnyLayer
        The lowest first.
    beneath : tuple of AnyLayer
        What that image has over the base.
    """

    layers: tuple[AnyLayer, ...]
    beneath: tuple[AnyLayer, ...] = ()


class LayerTar:
    """A layer's tar, which lies nowhere as a whole: its pieces are read one after the other.

    Parameters
    ----------
    layer : AnyLayer
    folder : Path
        Has the pieces.

    Attributes
    ----------
    size_bytes : int
    """

    def __init__(self, layer: AnyLayer, folder: Path) -> None:
        paths = [folder / piece for piece in layer.pieces]
        if len(paths) == 1:
            self._ranges = [(paths[0], 0, paths[0].stat().st_size)]
        else:
            self._ranges = list(_without_repeats(paths))
        self.size_bytes = sum(end - start for _, start, end in self._ranges) + len(END_OF_TAR)

    def read(self) -> Iterator[bytes]:
        """Yield its bytes."""
        for path, start, end in self._ranges:
            with path.open("rb") as file:
                file.seek(start)
                while start < end:
                    data = file.read(min(READ_BYTES, end - start))
                    start += len(data)
                    yield data
        yield END_OF_TAR

    def diff_id(self) -> str:
        """Return the digest by which engines know it (OCI image specification, DiffID)."""
        digest = hashlib.sha256()
        for data in self.read():
            digest.update(data)
        return f"sha256:{digest.hexdigest()}"


def _without_repeats(paths: Sequence[Path]) -> Iterator[tuple[Path, int, int]]:
    """Yield where in pieces the members lie that no earlier piece has: engines take none twice."""
    seen: set[str] = set()
    for path in paths:
        if not path.stat().st_size:  # nothing was changed
            continue
        begin = end = 0
        with tarfile.open(path, "r:", ignore_zeros=False) as piece:
            for member in piece:
                after = member.offset_data + -(-member.size // BLOCK_BYTES) * BLOCK_BYTES
                if member.name in seen:
                    if end > begin:
                        yield path, begin, end
                    begin = after
                seen.add(member.name)
                end = after
        if end > begin:
            yield path, begin, end


def piece_name(package: Package, ground: str) -> str:
    """Name what a package installs over an image."""
    form = CONDA_FORMAT if isinstance(package, CondaPackage) else PIECE_FORMAT
    return _name((form, ground, *_digests([package])))


def stages_of(recipe: Recipe) -> list[Stage]:
    """Say what an image has over its base, the lowest first, and in what each part is made.

    Conda's packages are lowest; their Python, if there is one, installs the wheels. Debian's know
    nothing of them.
    """
    stages = conda_stages_of(recipe)
    conda = tuple(layer for stage in stages for layer in stage.layers)
    if recipe.debs:
        stages.append(Stage((DebLayer(recipe.debs, recipe.base_digest),)))
    names = tuple(wheel.name for wheel in recipe.wheels)
    ground = recipe.base_digest
    beneath: tuple[AnyLayer, ...] = ()
    if recipe.has_conda_python:
        ground, beneath = conda_name(recipe), conda
    if names:
        # By itself, as what lies above is known only once this is.
        stages.append(Stage((WhiteoutLayer(names, ground),), beneath))
    stages.append(Stage(layers_of(recipe.wheels, ground), beneath))
    if recipe.script is not None:  # its recipe has nothing else
        stages.append(Stage((PostBuildLayer(recipe.script, recipe.base_digest),)))
    return [stage for stage in stages if stage.layers]


def conda_stages_of(recipe: Recipe) -> list[Stage]:
    """Say what of an image is conda's.

    The base's Python unpacks what is for one machine, and the environment's own the rest.
    """
    base = recipe.base_digest
    machine = [package for package in recipe.conda if not package.is_noarch_python]
    noarch = [package for package in recipe.conda if package.is_noarch_python]
    scripted = tuple(package for package in recipe.conda if package.has_script)
    python = _name((base, *_digests(each for each in machine if each.name == CONDA_PYTHON)))
    lowest = layers_of(machine, base, MAX_LARGE_CONDA)
    above = layers_of(noarch, python, MAX_LARGE_CONDA)
    scripts = (ScriptLayer(scripted, conda_name(recipe)),) if scripted else ()
    stages = [Stage(lowest), Stage(above, lowest), Stage(scripts, (*lowest, *above))]
    return [stage for stage in stages if stage.layers]


def conda_name(recipe: Recipe) -> str:
    """Name what an image has of conda over its base."""
    return _name((recipe.base_digest, *_digests(recipe.conda)))


def layers_of(
    packages: Sequence[Package], ground: str, max_large: int = MAX_LARGE
) -> tuple[Layer, ...]:
    """Put large packages into layers of their own, lowest the largest, and the rest into one.

    The order depends on the packages alone, so that the same ones make the same image; small
    ones are added and changed most, and lie on top.
    """
    ordered = sorted(packages, key=lambda each: (-each.size_bytes, each.name))
    large = [package for package in ordered if package.size_bytes >= LARGE_BYTES][:max_large]
    small = sorted(set(ordered) - set(large), key=lambda each: each.name)
    groups = [(package,) for package in large] + ([tuple(small)] if small else [])
    return tuple(Layer(group, ground) for group in groups)


def _name(parts: Iterable[str]) -> str:
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def _digests(packages: Iterable[Package]) -> Iterator[str]:
    return (chunk.digest for package in packages for chunk in package.chunks)

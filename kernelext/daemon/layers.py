"""The layers of an image: which packages share one, and their bytes out of pieces."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Union

from kernelext.recipe import Deb, Files, Recipe, Wheel

LARGE_BYTES = 4_000_000  # such a wheel has a layer of its own
MAX_LARGE = 60  # of 127 that an engine stacks, the base's among them
PIECE_FORMAT = "2"  # of what the builder writes
DEBS_FORMAT = "debs 1"
SCRIPT_FORMAT = "script 1"
END_OF_TAR = bytes(1024)
BLOCK_BYTES = 512
READ_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Layer:
    """Some wheels of an image, whose pieces lie one after the other.

    Attributes
    ----------
    wheels : tuple of Wheel
    base_digest : str
        Of the image below: pieces hide what it has of the same distributions.
    """

    wheels: tuple[Wheel, ...]
    base_digest: str

    @property
    def pieces(self) -> dict[str, Wheel]:
        """The wheels by the names of their pieces."""
        return {piece_name(wheel, self.base_digest): wheel for wheel in self.wheels}

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
    def pieces(self) -> dict[str, tuple[Deb, ...]]:
        """The packages by the name of their piece."""
        return {self.name: self.debs}

    @property
    def name(self) -> str:
        """The same name for the same bytes."""
        digests = sorted(chunk.digest for deb in self.debs for chunk in deb.chunks)
        parts = (DEBS_FORMAT, self.base_digest, *digests)
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()


@dataclass(frozen=True)
class ScriptLayer:
    """What a script changes.

    Attributes
    ----------
    script : Files
    base_digest : str
        Of the image that it runs over.
    """

    script: Files
    base_digest: str

    @property
    def pieces(self) -> dict[str, Files]:
        """The script by the name of its piece."""
        return {self.name: self.script}

    @property
    def name(self) -> str:
        """The same name for the same script over the same image."""
        told = (self.script.manifest.digest, self.script.start, self.script.turn)
        parts = (SCRIPT_FORMAT, self.base_digest, *told)
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()


AnyLayer = Union[DebLayer, Layer, ScriptLayer]


class LayerTar:
    """A layer's tar, which lies nowhere as a whole: its pieces are read one after the other.

    Parameters
    ----------
    layer : Layer, DebLayer or ScriptLayer
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


def piece_name(wheel: Wheel, base_digest: str) -> str:
    """Name what a wheel installs over a base."""
    parts = (PIECE_FORMAT, base_digest, *(chunk.digest for chunk in wheel.chunks))
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def layers_of(recipe: Recipe) -> list[Layer]:
    """Put large wheels into layers of their own, lowest the largest, and the rest into one.

    The order depends on the wheels alone, so that the same wheels make the same image; small
    ones are added and changed most, and lie on top.
    """
    ordered: Sequence[Wheel] = sorted(recipe.wheels, key=lambda each: (-each.size_bytes, each.name))
    large = [wheel for wheel in ordered if wheel.size_bytes >= LARGE_BYTES][:MAX_LARGE]
    small = sorted(set(ordered) - set(large), key=lambda each: each.name)
    groups = [(wheel,) for wheel in large] + ([tuple(small)] if small else [])
    return [Layer(group, recipe.base_digest) for group in groups]


def deb_layers_of(recipe: Recipe) -> list[DebLayer]:
    """Return the layer below those of wheels, if there are Debian packages."""
    return [DebLayer(recipe.debs, recipe.base_digest)] if recipe.debs else []


def script_layers_of(recipe: Recipe) -> list[ScriptLayer]:
    """Return the topmost layer, if there is a script."""
    return [ScriptLayer(recipe.script, recipe.base_digest)] if recipe.script else []

"""What the image below has of distributions that are installed anew: a piece that takes it away."""

from __future__ import annotations

import importlib.metadata
import os
import posixpath
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from kernelext.builder.piecetar import PieceTar
from kernelext.recipe import normal_name

WHITEOUT = ".wh."


def write_whiteouts(names: Collection[str], target: Path, folder: str) -> None:
    """Write a tar without an end, for a layer below all that is installed.

    So nothing is taken away that a wheel brings: what several distributions have under one path
    may come with any of them.

    Parameters
    ----------
    names : collection of str
        Of distributions, normalised.
    target : Path
    folder : str
        Where this image's Python looks for them.
    """
    gone = {os.path.normpath(path) for path in _replaced(set(names), folder)}
    with target.open("wb") as raw:
        out = PieceTar(raw)
        for path in sorted(gone):
            if gone.isdisjoint(map(str, Path(path).parents)) and os.path.lexists(path):
                parent, base = posixpath.split(path)
                out.add(f"{parent}/{WHITEOUT}{base}", b"", 0o600)


def _replaced(names: set[str], folder: str) -> Iterator[str]:
    """Yield the files of distributions that no other has, and the folders with nothing else."""
    there = list(importlib.metadata.distributions(path=[folder]))
    replaced = [each for each in there if normal_name(each.metadata["Name"] or "") in names]
    if not replaced:
        return
    own = {path for each in replaced for path in _files(each)}
    others = {path for each in there if each not in replaced for path in _files(each)}
    own -= others
    yield from own
    for parent in _parents(own):
        if Path(folder) in parent.parents and _holds_only(parent, own):
            yield str(parent)


def _files(distribution: importlib.metadata.Distribution) -> Iterator[str]:
    for file in distribution.files or ():
        yield os.path.normpath(str(distribution.locate_file(file)))


def _parents(paths: Iterable[str]) -> set[Path]:
    return {parent for path in paths for parent in Path(path).parents}


def _holds_only(folder: Path, files: set[str]) -> bool:
    """Whether a folder has nothing but some files and their byte code."""
    there = (path for path in folder.rglob("*") if not path.is_dir() and path.suffix != ".pyc")
    return all(str(path) in files for path in there)

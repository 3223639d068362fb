"""Reads what a file of the project wants: requirements, a project's metadata, a lock, a folder."""

from __future__ import annotations

import functools
import os
import re
from dataclasses import replace
from pathlib import Path

from kernelext.errors import ImageBuildError
from kernelext.image.lines import file_lines, read_lines
from kernelext.image.pyprojects import read_pyproject
from kernelext.image.resolving import run_uv
from kernelext.image.wanted import Wanted

CONDA_SPEC = re.compile(r"([A-Za-z0-9_.-]+)\s*(.*)")
SOURCES = (
    *("requirements.txt", "environment.yml", "pyproject.toml", "uv.lock", ".binder"),
    "imports",
)
APT_FILE = "apt.txt"
# Of repo2docker's configuration files: those that ask for more than packages.
FOREIGN_FILES = (
    *("DESCRIPTION", "Dockerfile", "Pipfile", "Pipfile.lock", "Project.toml", "REQUIRE"),
    *("default.nix", "environment.yaml", "environment.yml", "install.R", "postBuild"),
    *("pyproject.toml", "runtime.txt", "setup.py", "start"),
)


def read_source(project: Path, source: str) -> Wanted:
    """Read a file that ``[image]`` names.

    Parameters
    ----------
    project : Path
    source : str
        Its path, relative to the project.

    Raises
    ------
    ImageBuildError
        It is not there, or of no kind that is known.
    """
    path = project / source
    if not path.exists():
        raise ImageBuildError(
            f"[image] takes its packages from {source}, which is not there; write it, or name"
            f" another file ({', '.join(SOURCES)})"
        )
    if path.is_dir():
        return _read_folder(path, source, project)
    if path.name == "uv.lock":
        return _read_lock(path, source)
    if path.name == "pyproject.toml":
        lock = path.with_name("uv.lock")
        return _read_lock(lock, source) if lock.exists() else read_pyproject(path, source)
    if path.name in ("environment.yml", "environment.yaml"):
        return _read_conda(path, source, project)
    if path.suffix in (".txt", ".in"):
        return read_lines(file_lines(path), path.parent, source, project)
    raise ImageBuildError(
        f"[image] names {source}, which is none of {', '.join(SOURCES)}: write one of these"
    )


def _read_folder(path: Path, source: str, project: Path) -> Wanted:
    """Read a folder as repo2docker has them."""
    there = {each.name for each in path.iterdir()}
    foreign = sorted(there.intersection(FOREIGN_FILES))
    known = f"requirements.txt and {APT_FILE}"
    if foreign:
        raise ImageBuildError(
            f"{source} has {', '.join(foreign)}, of which no image is made yet: {known} are read"
            " there; move the rest away, or name a file"
        )
    if there.isdisjoint(("requirements.txt", APT_FILE)):
        raise ImageBuildError(f"{source} has neither of {known}; write one, or name a file")
    lines = file_lines(path / "requirements.txt") if "requirements.txt" in there else []
    packages = file_lines(path / APT_FILE) if APT_FILE in there else []
    wanted = read_lines(lines, path, source, project)
    return replace(wanted, apt=tuple(word for line in packages for word in line.split()))


def _read_conda(path: Path, source: str, project: Path) -> Wanted:
    """Read an environment of conda's: its packages and channels, and its pip part."""
    import yaml  # a project without such a file does not wait for it

    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
        needs = table["dependencies"]
        texts = [need.strip() for need in needs if isinstance(need, str)]
        lines = [line for need in needs if isinstance(need, dict) for line in need["pip"]]
        channels = [str(channel) for channel in table.get("channels") or ()]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as exc:
        raise ImageBuildError(f"{source} cannot be read as an environment of conda: {exc}") from exc
    specs = [CONDA_SPEC.fullmatch(text.rpartition("::")[2]) for text in texts]
    if None in specs:
        wrong = texts[specs.index(None)]
        raise ImageBuildError(f"{source} asks for {wrong!r}, which is no package of conda")
    named = {spec[1].lower(): spec[2] for spec in specs if spec}
    python = re.match(r"={1,2}\s*(\d+\.\d+)", named.get("python", ""))
    wanted = read_lines(map(str, lines), path.parent, source, project)
    return replace(
        wanted,
        python=python[1] if python else "",
        conda=tuple(texts),
        channels=tuple(_channel(channel, path.parent) for channel in channels),
    )


def _channel(name: str, folder: Path) -> str:
    """Return a channel's name; a folder's is its address."""
    is_folder = name.startswith((".", "/"))
    return (folder / name).resolve().as_uri() if is_folder else name


def _read_lock(path: Path, source: str) -> Wanted:
    """Read a lock of uv's: its versions are exact, the project itself is not a package."""
    found = path.stat()
    return _export(path, source, (found.st_mtime_ns, found.st_size, found.st_ino))


@functools.lru_cache(maxsize=8)
def _export(path: Path, source: str, _: tuple[int, int, int]) -> Wanted:
    """Export a lock, once for as long as its file is the same: before every cell is too often."""
    words = ["export", "--frozen", "--no-emit-project", "--no-dev", "--no-hashes", "--no-header"]
    problem = f"{source} cannot be read"
    text = run_uv([*words, "--quiet", "--no-annotate"], path.parent, os.environ, problem)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return read_lines(lines, path.parent, source)

"""Reads what a file of the project wants: requirements, a project's metadata, a lock, a folder."""

from __future__ import annotations

import functools
import os
import re
from dataclasses import replace
from pathlib import Path

from kernelext.errors import ImageBuildError
from kernelext.image.folders import LIMIT_BYTES, look_at
from kernelext.image.lines import file_lines, read_lines
from kernelext.image.pyprojects import read_pyproject, read_table, required_python
from kernelext.image.resolving import run_uv
from kernelext.image.wanted import Wanted

CONDA_SPEC = re.compile(r"([A-Za-z0-9_.-]+)\s*(.*)")
SOURCES = (
    *("requirements.txt", "environment.yml", "pyproject.toml", "uv.lock", "Dockerfile"),
    *(".binder", "imports"),
)
APT_FILE = "apt.txt"
DOCKERFILE = "Dockerfile"
OWN_FOLDERS = (".binder", "binder")  # which repo2docker knows; what they are about lies beside
PYTHON_FILE = "runtime.txt"
SCRIPT = "postBuild"
CONDA_FILE = "environment.yml"
FOLDER_FILES = ("requirements.txt", CONDA_FILE, APT_FILE, PYTHON_FILE, SCRIPT, DOCKERFILE)
PYTHON_LINE = re.compile(r"python-(\d+\.\d+)(\.\d+)?")
# Of repo2docker's configuration files: those that ask for more than packages.
FOREIGN_FILES = (
    *("DESCRIPTION", "Pipfile", "Pipfile.lock", "Project.toml", "REQUIRE", "default.nix"),
    *("environment.yaml", "install.R", "pyproject.toml", "setup.py", "start"),
)


def read_source(project: Path, source: str, limit_bytes: int = LIMIT_BYTES) -> Wanted:
    """Read a file that ``[image]`` names.

    Parameters
    ----------
    project : Path
    source : str
        Its path, relative to the project.
    limit_bytes : int
        What a Dockerfile is built from is no more.

    Raises
    ------
    ImageBuildError
        It is not there, or of no kind that is known.
    BundleError
        What a Dockerfile is built from may not be sent.
    """
    path = project / source
    if not path.exists():
        raise ImageBuildError(
            f"[image] takes its packages from {source}, which is not there; write it, or name"
            f" another file ({', '.join(SOURCES)})"
        )
    if path.is_dir():
        return _read_folder(path, source, project, limit_bytes)
    if is_dockerfile(path.name):
        return Wanted(source, dockerfile=look_at(path.parent, path.name, limit_bytes))
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


def is_dockerfile(name: str) -> bool:
    """Whether a file is a Dockerfile, by its name.

    Examples
    --------
    >>> [is_dockerfile(name) for name in ("Dockerfile", "Dockerfile.gpu", "own.dockerfile", "x")]
    [True, True, True, False]
    """
    return name.partition(".")[0] == DOCKERFILE or name.lower().endswith(".dockerfile")


def _read_folder(path: Path, source: str, project: Path, limit_bytes: int) -> Wanted:
    """Read a folder as repo2docker has them."""
    there = {each.name for each in path.iterdir()}
    if DOCKERFILE in there:  # then nothing else counts, and it is built from the folder above
        is_apart = path.name in OWN_FOLDERS
        root, start = (path.parent, f"{path.name}/{DOCKERFILE}") if is_apart else (path, DOCKERFILE)
        return Wanted(source, dockerfile=look_at(root, start, limit_bytes))
    foreign = sorted(there.intersection(FOREIGN_FILES))
    known = f"{', '.join(FOLDER_FILES[:-1])} and {FOLDER_FILES[-1]}"
    if foreign:
        raise ImageBuildError(
            f"{source} has {', '.join(foreign)}, of which no image is made: {known} are read"
            " there; move the rest away, or name a file"
        )
    if there.isdisjoint(FOLDER_FILES):
        raise ImageBuildError(f"{source} has none of {known}; write one, or name a file")
    wanted = _read_packages(path, source, project)
    apt = [word for line in _lines_if(path / APT_FILE) for word in line.split()]
    python = _read_python(path / PYTHON_FILE, source)
    if python:  # conda's, where the base has another
        wanted = replace(wanted, python=python, conda=(*wanted.conda, f"python={python}"))
    script = look_at(path, SCRIPT, limit_bytes) if SCRIPT in there else None
    return replace(wanted, apt=tuple(apt), script=script)


def _read_packages(path: Path, source: str, project: Path) -> Wanted:
    """Read what a folder says of Python's packages; of two files that of conda counts."""
    if (path / CONDA_FILE).exists():
        return _read_conda(path / CONDA_FILE, source, project)
    return read_lines(_lines_if(path / "requirements.txt"), path, source, project)


def _read_python(path: Path, source: str) -> str:
    """Read which Python a folder asks for; empty for any."""
    said = " ".join(_lines_if(path))
    match = PYTHON_LINE.fullmatch(said)
    if said and not match:
        raise ImageBuildError(
            f"{path.name} of {source} says {said!r}, and images have Python: write python-3.11 or"
            " the like there, or name a base in [image]"
        )
    return match[1] if match else ""


def _lines_if(path: Path) -> list[str]:
    return file_lines(path) if path.exists() else []


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
    python = required_python(read_table(path, source), source)
    return replace(read_lines(lines, path.parent, source), requires_python=python)

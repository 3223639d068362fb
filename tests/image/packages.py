"""Packages that build themselves without a library, and repositories of them."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

BACKEND = """
import zipfile
from pathlib import Path

NAME = {name!r}
METADATA = {metadata!r}

def build_wheel(folder, *_):
    info = NAME + "-0.1.dist-info/"
    with zipfile.ZipFile(Path(folder, NAME + "-0.1-py3-none-any.whl"), "w") as wheel:
        wheel.writestr(zipfile.ZipInfo(NAME + ".py"), Path(NAME + ".py").read_text())
        wheel.writestr(zipfile.ZipInfo(info + "METADATA"), METADATA)
        kind = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        wheel.writestr(zipfile.ZipInfo(info + "WHEEL"), kind)
        record = f"{{NAME}}.py,,\\n{{info}}METADATA,,\\n{{info}}WHEEL,,\\n{{info}}RECORD,,\\n"
        wheel.writestr(zipfile.ZipInfo(info + "RECORD"), record)
    return NAME + "-0.1-py3-none-any.whl"

build_editable = build_wheel
"""
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def write_package(
    folder: Path,
    text: str = "X = 1\n",
    name: str = "own",
    needs: tuple[str, ...] = ("below",),
    extras: Mapping[str, str] = MappingProxyType({}),
) -> Path:
    """Write a package of one module that builds itself; each extra needs one distribution."""
    lines = [f"Requires-Dist: {need}" for need in needs]
    for extra, need in extras.items():
        lines += [f"Provides-Extra: {extra}", f'Requires-Dist: {need} ; extra == "{extra}"']
    metadata = "\n".join(["Metadata-Version: 2.1", f"Name: {name}", "Version: 0.1", *lines, ""])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "backend.py").write_text(BACKEND.format(name=name, metadata=metadata))
    (folder / f"{name}.py").write_text(text)
    return folder


def git(repository: Path, *words: str) -> str:
    """Run git in a repository; what it prints."""
    identity = ["-c", "user.name=ada", "-c", "user.email=ada@example.org"]
    command = ["git", *identity, *words]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(repository: Path) -> str:
    """Commit all that lies in a folder, which becomes a repository; the revision."""
    git(repository, "init", "-q", "-b", "main")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "one more")
    return git(repository, "rev-parse", "HEAD")

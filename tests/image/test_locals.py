"""Packages that are no wheels yet: a folder here, a revision of a Git repository."""

from __future__ import annotations

import hashlib
import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from kernelext.errors import ImageBuildError
from kernelext.image.locals import build_wheel, fingerprint
from kernelext.image.resolving import read_lock, resolve
from kernelext.image.wanted import Wanted

from .test_resolving import TARGET
from .wheels import Index, make_wheel

BACKEND = """
import zipfile
from pathlib import Path

def build_wheel(folder, *_):
    name = "own-0.1-py3-none-any.whl"
    info = "own-0.1.dist-info/"
    with zipfile.ZipFile(Path(folder, name), "w") as wheel:
        wheel.writestr(zipfile.ZipInfo("own.py"), Path("own.py").read_text())
        needs = "Metadata-Version: 2.1\\nName: own\\nVersion: 0.1\\nRequires-Dist: below\\n"
        wheel.writestr(zipfile.ZipInfo(info + "METADATA"), needs)
        kind = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        wheel.writestr(zipfile.ZipInfo(info + "WHEEL"), kind)
        wheel.writestr(zipfile.ZipInfo(info + "RECORD"), "")
    return name
"""
PROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def write_package(folder: Path, text: str = "X = 1\n") -> None:
    """Write a package that builds itself."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "backend.py").write_text(BACKEND)
    (folder / "own.py").write_text(text)


def read_own(requirement: str) -> str:
    """The module in a wheel that was built."""
    with zipfile.ZipFile(requirement.partition(" @ file://")[2]) as wheel:
        return wheel.read("own.py").decode()


def test_folder_is_built_and_what_it_needs_comes_with_it(index: Index, tmp_path: Path) -> None:
    make_wheel(index.folder, "below")
    write_package(tmp_path / "own")
    requirement = build_wheel(str(tmp_path / "own"), tmp_path / "wheels", os.environ)
    assert requirement.startswith("own @ file://")
    wanted = Wanted("requirements.txt", (requirement,))
    environ = {**os.environ, **index.environ()}
    pins = read_lock(resolve(wanted, TARGET, tmp_path, environ), TARGET)
    assert [pin.name for pin in pins] == ["below", "own"]
    wheel = Path(pins[1].url.removeprefix("file://"))
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() == pins[1].sha256


def test_same_folder_makes_the_same_wheel_and_a_changed_one_another(tmp_path: Path) -> None:
    write_package(tmp_path / "own")
    folder = str(tmp_path / "own")
    seen = fingerprint([folder])
    built = build_wheel(folder, tmp_path / "wheels", os.environ)
    assert build_wheel(folder, tmp_path / "wheels", os.environ) == built
    assert fingerprint([folder]) == seen
    write_package(tmp_path / "own", "X = 22\n")
    assert fingerprint([folder]) != seen
    changed = build_wheel(folder, tmp_path / "wheels", os.environ)
    assert read_own(changed) == "X = 22\n"
    assert read_own(built) == "X = 1\n"


def test_revision_of_a_repository(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    write_package(repository / "inner")

    def git(*words: str) -> str:
        identity = ["-c", "user.name=ada", "-c", "user.email=ada@example.org"]
        command = ["git", *identity, *words]
        done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "one")
    first = git("rev-parse", "HEAD")
    write_package(repository / "inner", "X = 2\n")
    git("commit", "-qam", "two")
    address = f"git+{repository.as_uri()}"
    wheels = tmp_path / "wheels"
    newest = build_wheel(f"{address}#subdirectory=inner", wheels, os.environ)
    assert read_own(newest) == "X = 2\n"
    older = build_wheel(f"{address}@{first}#subdirectory=inner", wheels, os.environ)
    assert read_own(older) == "X = 1\n"
    with pytest.raises(ImageBuildError, match=r"@nowhere cannot be fetched: "):
        build_wheel(f"{address}@nowhere", wheels, os.environ)


def test_what_cannot_be_built_is_said(tmp_path: Path) -> None:
    with pytest.raises(ImageBuildError, match="is no folder here"):
        build_wheel(str(tmp_path / "absent"), tmp_path / "wheels", os.environ)
    write_package(tmp_path / "own")
    (tmp_path / "own/own.py").unlink()
    with pytest.raises(ImageBuildError, match=r"(?s)own cannot be built; its .*own\.py"):
        build_wheel(str(tmp_path / "own"), tmp_path / "wheels", os.environ)

"""Packages that are folders here or lie in Git: built into wheels on this machine."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kernelext.errors import ImageBuildError
from kernelext.image.resolving import run_uv

GIT = "git+"
GIT_TIMEOUT_S = 600.0
OWN_DATA = "data"  # of a project: what cells read and write there is no part of a package
LEFT_OUT = {"__pycache__", "build", "dist", "node_modules", "venv"}
DATE_S = "315532800"  # 1980: the wheel depends on what is built alone (SOURCE_DATE_EPOCH)


def fingerprint(folders: Sequence[str]) -> str:
    """Return a digest that is another one when a file of the folders has changed.

    By size and mtime: a build that is one too many costs a second.
    """
    digest = hashlib.sha256()
    for folder in folders:
        digest.update(folder.encode())
        for path in _files(folder):
            found = path.stat()
            digest.update(f"{path}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
    return digest.hexdigest() if folders else ""


def build_wheel(folder: str, target: Path, environ: Mapping[str, str]) -> str:
    """Build a wheel into ``target/DIGEST/FILE``; the requirement that names it.

    Parameters
    ----------
    folder : str
        Or an address of Git's, as pip writes it: ``git+URL@REVISION#subdirectory=FOLDER``.
    target : Path
    environ : mapping of str to str

    Raises
    ------
    ImageBuildError
        It cannot be built; has the build's last lines.
    """
    with tempfile.TemporaryDirectory(prefix="kernelext-") as scratch:
        source = _check_out(folder, Path(scratch, "git")) if is_git(folder) else Path(folder)
        if not source.is_dir():
            raise ImageBuildError(f"the local package {source} is no folder here")
        words = ["build", "--wheel", str(source), "--out-dir", scratch]
        fixed = {**environ, "SOURCE_DATE_EPOCH": DATE_S}
        run_uv(words, source, fixed, f"the package {folder} cannot be built", shows_lines=True)
        built = next(Path(scratch).glob("*.whl"))
        with built.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        wheel = target / digest / built.name
        wheel.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(built, wheel)
    return f"{built.name.partition('-')[0]} @ {wheel.as_uri()}"


def is_git(address: str) -> bool:
    """Whether a package lies in Git."""
    return address.startswith(GIT)


def _check_out(address: str, target: Path) -> Path:
    """Fetch one revision of a repository; the folder of its package."""
    url, _, fragment = address.removeprefix(GIT).partition("#")
    before, at, after = url.rpartition("@")
    has_revision = bool(at) and "://" in before  # else it is that of a login
    repository, revision = (before, after) if has_revision else (url, "HEAD")
    target.mkdir()
    for words in (
        ["init", "--quiet"],
        ["fetch", "--quiet", "--depth", "1", repository, revision],
        ["checkout", "--quiet", "FETCH_HEAD"],
    ):
        try:
            done = subprocess.run(
                ["git", *words],
                cwd=target,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=GIT_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise ImageBuildError(f"{address} cannot be fetched by git: {exc}") from exc
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["git does not say why"])[-1]
            raise ImageBuildError(f"{address} cannot be fetched: {last}")
    folder = dict(part.partition("=")[::2] for part in fragment.split("&")).get("subdirectory", "")
    return target / folder


def _files(folder: str) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if name not in LEFT_OUT and not name.startswith(".")
        )
        folders[:] = [name for name in folders if not name.endswith(".egg-info")]
        if root == folder and OWN_DATA in folders:
            folders.remove(OWN_DATA)
        for name in sorted(names):
            path = Path(root, name)
            if path.is_file() and not name.endswith((".pyc", ".ipynb")):
                yield path

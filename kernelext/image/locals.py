"""Packages that are folders here: built into wheels, again when something in them has changed."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kernelext.errors import ImageBuildError
from kernelext.image.resolving import run_uv

LEFT_OUT = {"__pycache__", "build", "dist", "node_modules", "venv"}
DATE_S = "315532800"  # 1980: the wheel depends on what is built alone (SOURCE_DATE_EPOCH)


def fingerprint(folders: Sequence[str]) -> str:
    """Return a digest that is another one when a file of the folders has changed.

    By size and mtime: a build that is one too many costs a second.
    """
    digest = hashlib.sha256()
    for folder in folders:
        for path in _files(folder):
            found = path.stat()
            digest.update(f"{path}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
    return digest.hexdigest() if folders else ""


def build_wheel(folder: str, target: Path, environ: Mapping[str, str]) -> str:
    """Build a folder's wheel into ``target/DIGEST/FILE``; the requirement that names it.

    Raises
    ------
    ImageBuildError
        It cannot be built; has the build's last lines.
    """
    if not Path(folder).is_dir():
        raise ImageBuildError(f"the local package {folder} is no folder here")
    with tempfile.TemporaryDirectory(prefix="kernelext-") as scratch:
        words = ["build", "--quiet", "--wheel", folder, "--out-dir", scratch]
        fixed = {**environ, "SOURCE_DATE_EPOCH": DATE_S}
        run_uv(words, Path(folder), fixed, f"the local package {folder} cannot be built")
        built = next(Path(scratch).glob("*.whl"))
        with built.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        wheel = target / digest / built.name
        wheel.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(built, wheel)
    return f"{built.name.partition('-')[0]} @ {wheel.as_uri()}"


def _files(folder: str) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if name not in LEFT_OUT and not name.startswith(".")
        )
        folders[:] = [name for name in folders if not name.endswith(".egg-info")]
        for name in sorted(names):
            path = Path(root, name)
            if path.is_file() and not name.endswith((".pyc", ".ipynb")):
                yield path

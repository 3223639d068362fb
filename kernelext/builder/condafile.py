"""What is in a package of conda: its two forms (conda's documentation, "Package specification")."""

from __future__ import annotations

import bz2
import contextlib
import json
import posixpath
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from kernelext.builder.zstd import unpack

INFO = "info/"
# What conda-build wrote instead of a folder before it named it in `has_prefix`.
OLD_PLACEHOLDER = "/opt/anaconda1anaconda2anaconda3"


@dataclass(frozen=True)
class Entry:
    """One file of a package.

    Attributes
    ----------
    path : str
        Relative to the environment.
    placeholder : str
        The folder that the file names in place of the environment's; empty for none.
    is_binary : bool
        Whether the file's size must stay.
    """

    path: str
    placeholder: str = ""
    is_binary: bool = False


class CondaFile:
    """An open package.

    Parameters
    ----------
    tars : list of tarfile.TarFile
        All that it consists of.
    """

    def __init__(self, tars: list[tarfile.TarFile]) -> None:
        self.members: dict[str, tuple[tarfile.TarFile, tarfile.TarInfo]] = {}
        for tar in tars:
            for member in tar:
                self.members[posixpath.normpath(member.name)] = (tar, member)

    @property
    def index(self) -> dict[str, Any]:
        """Its name, version, build and what it needs."""
        return self.info("index.json")

    def info(self, name: str) -> dict[str, Any]:
        """Return one of the files that describe it; empty if it has none."""
        text = self._text(name)
        found: dict[str, Any] = json.loads(text) if text else {}
        return found

    def entries(self) -> list[Entry]:
        """Return its files and links by name."""
        listed = self.info("paths.json").get("paths")
        if listed is None:
            return self._old_entries()
        entries = [
            Entry(
                str(each["_path"]),
                str(each.get("prefix_placeholder") or ""),
                each.get("file_mode") == "binary",
            )
            for each in listed
            if each.get("path_type") != "directory"
        ]
        return sorted(entries, key=lambda entry: entry.path)

    def open(self, path: str) -> tuple[tarfile.TarInfo, BinaryIO | None]:
        """Return what a file is, and its content; None for a symbolic link."""
        try:
            tar, member = self.members[posixpath.normpath(path)]
            content = None if member.issym() else tar.extractfile(member)
        except KeyError as exc:
            raise ValueError(f"it lists {path} and has no such file") from exc
        return member, content  # type: ignore[return-value]

    def _old_entries(self) -> list[Entry]:
        """Return those of a package from before 2017, which says in two files what they are."""
        known = {}
        for line in self._text("has_prefix").splitlines():
            words = [word.strip("\"'") for word in line.split()]
            placeholder, mode, path = words if len(words) == 3 else (OLD_PLACEHOLDER, "", words[0])
            known[path] = Entry(path, placeholder, mode == "binary")
        found = [path for path, (_, member) in self.members.items() if not member.isdir()]
        return [known.get(path) or Entry(path) for path in sorted(found) if path[:5] != INFO]

    def _text(self, name: str) -> str:
        if INFO + name not in self.members:
            return ""
        _, content = self.open(INFO + name)
        return content.read().decode("utf-8") if content else ""


@contextlib.contextmanager
def open_package(path: Path) -> Iterator[CondaFile]:
    """Open a package for reading in any order.

    Raises
    ------
    ValueError, OSError, zipfile.BadZipFile, tarfile.TarError
        It is no package, or damaged.
    """
    with contextlib.ExitStack() as stack:
        tars = []
        for source, is_zstd in _sources(path, stack):
            plain = stack.enter_context(tempfile.TemporaryFile())
            if is_zstd:
                unpack(source, plain)
            else:
                shutil.copyfileobj(source, plain)
            plain.seek(0)
            tars.append(stack.enter_context(tarfile.open(fileobj=plain, mode="r:")))
        yield CondaFile(tars)


def _sources(path: Path, stack: contextlib.ExitStack) -> Iterator[tuple[Any, bool]]:
    """Yield the packed tars of a package."""
    if path.suffix != ".conda":
        yield stack.enter_context(bz2.BZ2File(path)), False
        return
    archive = stack.enter_context(zipfile.ZipFile(path))
    for name in archive.namelist():
        if name.endswith(".tar.zst"):
            yield stack.enter_context(archive.open(name)), True

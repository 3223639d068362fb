"""What one package of conda installs, as a piece of a layer: the same bytes wherever it is made."""

from __future__ import annotations

import json
import os
import posixpath
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from installer.scripts import Script

from kernelext.builder.condafile import CondaFile, Entry, open_package
from kernelext.builder.piecetar import PieceTar
from kernelext.recipe import CONDA_PREFIX, EPOCH_S

SITE_PACKAGES, PYTHON_SCRIPTS = "site-packages/", "python-scripts/"
ENTRY_POINT = re.compile(r"(?P<name>[^=\s]+)\s*=\s*(?P<module>[^:\s]+):(?P<attr>\S+)")
BY_DATE = bytes(4)  # what byte code is checked by (PEP 552)


@dataclass(frozen=True)
class Interpreter:
    """The environment's Python, for packages that leave to it where their files lie.

    Attributes
    ----------
    path : str
    site_packages : str
    """

    path: str
    site_packages: str


def write_conda_piece(package: Path, target: Path, interpreter: Interpreter | None = None) -> None:
    """Write what a package installs as a tar without an end, so that pieces can be joined.

    Parameters
    ----------
    package : Path
        ``NAME-VERSION-BUILD.conda`` or ``.tar.bz2``.
    target : Path
    interpreter : Interpreter or None
        For a package of Python code that is for any machine (``noarch: python``).

    Raises
    ------
    ValueError, OSError, zipfile.BadZipFile, tarfile.TarError
        It is no package, or damaged.
    """
    with target.open("wb") as raw, open_package(package) as source:
        piece = CondaPiece(PieceTar(raw, _is_outside), source, interpreter)
        for entry in source.entries():
            piece.take(entry)
        if interpreter:
            piece.take_commands(source.info("link.json").get("noarch", {}).get("entry_points", ()))
        piece.take_record(package.name)


class CondaPiece:
    """Takes a package's files into a tar, as they are at the environment's folder.

    Parameters
    ----------
    out : PieceTar
    source : CondaFile
    interpreter : Interpreter or None
    """

    def __init__(self, out: PieceTar, source: CondaFile, interpreter: Interpreter | None) -> None:
        self._out = out
        self._source = source
        self._interpreter = interpreter
        self._files: list[str] = []

    def take(self, entry: Entry) -> None:
        """Take one file or link."""
        target = self._target(entry.path)
        member, content = self._source.open(entry.path)
        if content is None:
            self._out.add_link(target, member.linkname)
            return
        mode = member.mode & 0o777
        is_script = entry.path.startswith(PYTHON_SCRIPTS)
        if entry.placeholder or is_script or target.endswith((".py", ".pyc")):
            data = _adapted(content.read(), entry)
            self._out.add(target, data, 0o755 if is_script else mode)
            if self._interpreter:
                self._out.compile(target, data)
        else:
            size_bytes = content.seek(0, os.SEEK_END)  # of a hard link the member has none
            content.seek(0)
            self._out.add_stream(target, content, size_bytes, mode)

    def take_commands(self, entry_points: Iterable[str]) -> None:
        """Take the commands that call functions of the package."""
        assert self._interpreter is not None
        for text in entry_points:
            found = ENTRY_POINT.fullmatch(text.strip())
            if found is None:
                raise ValueError(f"{text!r} is no command of a package")
            script = Script(found["name"], found["module"], found["attr"], "console")
            name, code = script.generate(self._interpreter.path, "posix")
            self._out.add(self._target(f"bin/{name}"), code, 0o755)

    def take_record(self, file_name: str) -> None:
        """Take what tells conda, and programs that look for it, what is installed."""
        index = self._source.index
        stem = "-".join(str(index[key]) for key in ("name", "version", "build"))
        record: dict[str, Any] = {**index, "fn": file_name, "files": sorted(self._files)}
        data = json.dumps(record, indent=2, sort_keys=True).encode()
        self._out.add(f"{CONDA_PREFIX}/conda-meta/{stem}.json", data, 0o644)
        self._out.add(f"{CONDA_PREFIX}/conda-meta/history", b"", 0o644)

    def _target(self, path: str) -> str:
        target = posixpath.normpath(f"{CONDA_PREFIX}/{path}")
        if self._interpreter and path.startswith(SITE_PACKAGES):
            place = self._interpreter.site_packages
            target = posixpath.normpath(f"{place}/{path[len(SITE_PACKAGES) :]}")
        elif self._interpreter and path.startswith(PYTHON_SCRIPTS):
            target = posixpath.normpath(f"{CONDA_PREFIX}/bin/{path[len(PYTHON_SCRIPTS) :]}")
        if not target.startswith(f"{CONDA_PREFIX}/"):
            raise ValueError(f"a package that writes outside of its folder: {path}")
        self._files.append(posixpath.relpath(target, CONDA_PREFIX))
        return target


def _adapted(data: bytes, entry: Entry) -> bytes:
    """Return a file as it is at the environment's folder, with the date that all files have."""
    if entry.placeholder and entry.is_binary:
        data = _replace_in_binary(data, entry.placeholder.encode(), CONDA_PREFIX.encode())
    elif entry.placeholder:
        data = data.replace(entry.placeholder.encode(), CONDA_PREFIX.encode())
    if entry.path.endswith(".pyc") and data[4:8] == BY_DATE:
        data = data[:8] + struct.pack("<I", EPOCH_S) + data[12:]
    return data


def _replace_in_binary(data: bytes, placeholder: bytes, prefix: bytes) -> bytes:
    """Replace a folder in a program's texts, each of which ends with a zero and keeps its size.

    Raises
    ------
    ValueError
        There is no room.
    """
    spare = len(placeholder) - len(prefix)
    if spare < 0:
        raise ValueError(f"it has no room for the folder {prefix.decode()}")

    def replace(match: re.Match[bytes]) -> bytes:
        text = match.group()
        return text.replace(placeholder, prefix) + bytes(spare * text.count(placeholder))

    return re.sub(re.escape(placeholder) + rb"[^\0]*\0", replace, data)


def _is_outside(folder: str) -> bool:
    """Whether a folder is there without us: all of the environment's are in every piece."""
    return not folder.startswith(CONDA_PREFIX) and os.path.isdir(folder)  # noqa: PTH112

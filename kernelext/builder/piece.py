"""What one wheel installs, as a piece of a layer: the same bytes wherever it is made."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.util
import io
import marshal
import os
import posixpath
import struct
import sys
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from installer import install
from installer.destinations import WheelDestination
from installer.records import Hash, RecordEntry
from installer.scripts import Script
from installer.sources import WheelFile
from installer.utils import construct_record_file, fix_shebang

from kernelext.recipe import EPOCH_S

INSTALLER = {"INSTALLER": b"kernelext\n"}
UNCOMPILED = "/tests/"  # a quarter of the code, which no cell imports
WHITEOUT = ".wh."


class Piece(WheelDestination):
    """Takes an installation's files into a tar: root's, of one date, with their byte code.

    Parameters
    ----------
    out : tarfile.TarFile
    schemes : mapping of str to str
        Where each kind of file belongs: ``purelib``, ``platlib``, ``scripts``, ``headers``,
        ``data``.
    interpreter : str
        For the first line of scripts.
    present : callable
        Whether the base image has a directory.
    """

    def __init__(
        self,
        out: tarfile.TarFile,
        schemes: Mapping[str, str],
        interpreter: str,
        present: Callable[[str], bool] = os.path.isdir,
    ) -> None:
        self.names: set[str] = set()
        self._out = out
        self._schemes = schemes
        self._interpreter = interpreter
        self._present = present

    def write_script(self, name: str, module: str, attr: str, section: Any) -> RecordEntry:
        """Take a script that an entry point stands for."""
        name, code = Script(name, module, attr, section).generate(self._interpreter, "posix")
        with io.BytesIO(code) as stream:
            return self.write_file("scripts", name, stream, is_executable=True)

    def write_file(
        self, scheme: Any, path: Any, stream: BinaryIO, is_executable: bool
    ) -> RecordEntry:
        """Take one file, and its byte code after it."""
        target = self._target(scheme, str(path))
        fixed = fix_shebang(stream, self._interpreter) if scheme == "scripts" else None
        with fixed or contextlib.nullcontext(stream) as source:
            data = source.read()
        self._add(target, data, 0o755 if is_executable or scheme == "scripts" else 0o644)
        if target.endswith(".py") and UNCOMPILED not in target and scheme != "scripts":
            self._compile(target, data)
        return RecordEntry(str(path), Hash("sha256", _digest(data)), len(data))

    def finalize_installation(
        self, scheme: Any, record_file_path: str, records: Iterable[Any]
    ) -> None:
        """Take the list of what was installed."""

        def prefix(of: str) -> str | None:
            if of == scheme:
                return None
            return posixpath.relpath(self._schemes[of], self._schemes[scheme]) + "/"

        with construct_record_file(records, prefix) as stream:
            self._add(self._target(scheme, record_file_path), stream.read(), 0o644)

    def hide(self, paths: Iterable[str]) -> None:
        """Take away what the base image has and this installation has not.

        Parameters
        ----------
        paths : iterable of str
            Files, and folders with all that is in them.
        """
        own = self.names | {parent for name in self.names for parent in _parents(name)}
        gone = {path.lstrip("/") for path in paths} - own
        for name in sorted(gone):
            if gone.isdisjoint(_parents(name)):
                folder, base = posixpath.split(name)
                self._add(f"/{folder}/{WHITEOUT}{base}", b"", 0o600)

    def _target(self, scheme: str, path: str) -> str:
        root = self._schemes[scheme]
        target = posixpath.normpath(posixpath.join(root, path))
        if not target.startswith(root + "/"):
            raise ValueError(f"a wheel that writes outside of its folder: {path}")
        return target

    def _add(self, target: str, data: bytes, mode: int) -> None:
        member = _member(target, mode)
        if member.name in self.names:
            return  # engines take no file twice
        self._add_folders(posixpath.dirname(target))
        member.size = len(data)
        self.names.add(member.name)
        self._out.addfile(member, io.BytesIO(data))

    def _add_folders(self, folder: str) -> None:
        if folder in ("", "/") or folder.lstrip("/") in self.names or self._present(folder):
            return
        self._add_folders(posixpath.dirname(folder))
        member = _member(folder, 0o755)
        member.type = tarfile.DIRTYPE
        self.names.add(member.name)
        self._out.addfile(member)

    def _compile(self, target: str, data: bytes) -> None:
        try:
            code = compile(data, target, "exec", dont_inherit=True, optimize=0)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return  # a template, for another Python, or too deep: it is compiled where it is used
        # PEP 552, by date: who changes the file in a container sees the change.
        head = struct.pack("<III", 0, EPOCH_S, len(data) & 0xFFFFFFFF)
        compiled = importlib.util.cache_from_source(target)
        self._add(compiled, importlib.util.MAGIC_NUMBER + head + marshal.dumps(code), 0o644)


def write_piece(
    wheel: Path, target: Path, schemes: Mapping[str, str], hidden: Collection[str] = ()
) -> None:
    """Write what a wheel installs as a tar without an end, so that pieces can be joined.

    Parameters
    ----------
    wheel : Path
    target : Path
    schemes : mapping of str to str
    hidden : collection of str
        Files and folders of the base image that the installation replaces.

    Raises
    ------
    ValueError, zipfile.BadZipFile
        It is no wheel.
    """
    with (
        target.open("wb") as raw,
        zipfile.ZipFile(wheel) as archive,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # of code that is compiled, not ours
        out = _OpenEnded.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT)
        piece = Piece(out, schemes, sys.executable)
        install(WheelFile(archive), piece, INSTALLER)
        piece.hide(hidden)


class _OpenEnded(tarfile.TarFile):
    """A tar that is never closed: its end is two empty blocks, which come after the last piece."""


def _parents(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]


def _member(target: str, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(target.lstrip("/"))
    member.mode = mode
    member.mtime = EPOCH_S
    return member


def _digest(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest())
    return digest.rstrip(b"=").decode()

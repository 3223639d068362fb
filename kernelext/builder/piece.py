"""What one wheel installs, as a piece of a layer: the same bytes wherever it is made."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import posixpath
import sys
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from installer import install
from installer.destinations import WheelDestination
from installer.records import Hash, RecordEntry
from installer.scripts import Script
from installer.sources import WheelFile
from installer.utils import construct_record_file, fix_shebang

from kernelext.builder.piecetar import PieceTar

INSTALLER = {"INSTALLER": b"kernelext\n"}


class Piece(WheelDestination):
    """Takes an installation's files into a tar, with their byte code.

    Parameters
    ----------
    out : PieceTar
    schemes : mapping of str to str
        Where each kind of file belongs: ``purelib``, ``platlib``, ``scripts``, ``headers``,
        ``data``.
    interpreter : str
        For the first line of scripts.
    """

    def __init__(self, out: PieceTar, schemes: Mapping[str, str], interpreter: str) -> None:
        self._out = out
        self._schemes = schemes
        self._interpreter = interpreter

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
        self._out.add(target, data, 0o755 if is_executable or scheme == "scripts" else 0o644)
        if scheme != "scripts":
            self._out.compile(target, data)
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
            self._out.add(self._target(scheme, record_file_path), stream.read(), 0o644)

    def _target(self, scheme: str, path: str) -> str:
        root = self._schemes[scheme]
        target = posixpath.normpath(posixpath.join(root, path))
        if not target.startswith(root + "/"):
            raise ValueError(f"a wheel that writes outside of its folder: {path}")
        return target


def write_piece(wheel: Path, target: Path, schemes: Mapping[str, str]) -> None:
    """Write what a wheel installs as a tar without an end, so that pieces can be joined.

    Parameters
    ----------
    wheel : Path
    target : Path
    schemes : mapping of str to str

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
        out = PieceTar(raw, lambda folder: _stays(folder, schemes["purelib"]))
        install(WheelFile(archive), Piece(out, schemes, sys.executable), INSTALLER)


def _stays(folder: str, packages: str) -> bool:
    """Whether the image below has a folder that none of its distributions takes along.

    Another wheel may replace the distribution whose folder it is, in a layer of its own.
    """
    found = Path(folder)
    is_packages = Path(packages) in found.parents and not found.is_symlink()
    return found.is_dir() and not is_packages


def _digest(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest())
    return digest.rstrip(b"=").decode()

"""The tar of a piece: files of root's, all of one date, nothing twice, without an end."""

from __future__ import annotations

import importlib.util
import io
import marshal
import os
import posixpath
import struct
import tarfile
from collections.abc import Callable
from typing import BinaryIO

from kernelext.recipe import EPOCH_S

UNCOMPILED = "/tests/"  # a quarter of the code, which no cell imports


class PieceTar:
    """Takes files, the folders that lead to them, and byte code.

    Parameters
    ----------
    raw : BinaryIO
        Where the tar is written.
    present : callable
        Whether the image below has a directory.

    Attributes
    ----------
    names : set of str
        What it has.
    """

    def __init__(self, raw: BinaryIO, present: Callable[[str], bool] = os.path.isdir) -> None:
        self.names: set[str] = set()
        # Never closed: the end of a tar comes after the last piece.
        self._out = _OpenEnded.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT)
        self._present = present

    def add(self, target: str, data: bytes, mode: int) -> None:
        """Take a file; the first of a name."""
        self.add_stream(target, io.BytesIO(data), len(data), mode)

    def add_stream(self, target: str, stream: BinaryIO, size_bytes: int, mode: int) -> None:
        """Take a file that need not be held in memory."""
        member = _member(target, mode)
        member.size = size_bytes
        self._add(member, stream)

    def add_link(self, target: str, points_to: str) -> None:
        """Take a symbolic link."""
        member = _member(target, 0o777)
        member.type, member.linkname = tarfile.SYMTYPE, points_to
        self._add(member, None)

    def add_folder(self, folder: str) -> None:
        """Take a folder and those that lead to it, unless the image below has them."""
        if folder in ("", "/") or folder.lstrip("/") in self.names or self._present(folder):
            return
        self.add_folder(posixpath.dirname(folder))
        member = _member(folder, 0o755)
        member.type = tarfile.DIRTYPE
        self.names.add(member.name)
        self._out.addfile(member)

    def compile(self, target: str, data: bytes) -> None:
        """Take the byte code of a file, as this Python would write it."""
        if not target.endswith(".py") or UNCOMPILED in target:
            return
        try:
            code = compile(data, target, "exec", dont_inherit=True, optimize=0)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return  # a template, for another Python, or too deep: it is compiled where it is used
        # PEP 552, by date: who changes the file in a container sees the change.
        head = struct.pack("<III", 0, EPOCH_S, len(data) & 0xFFFFFFFF)
        compiled = importlib.util.cache_from_source(target)
        self.add(compiled, importlib.util.MAGIC_NUMBER + head + marshal.dumps(code), 0o644)

    def _add(self, member: tarfile.TarInfo, stream: BinaryIO | None) -> None:
        if member.name in self.names:
            return  # engines take no file twice
        self.add_folder("/" + posixpath.dirname(member.name))
        self.names.add(member.name)
        self._out.addfile(member, stream)


class _OpenEnded(tarfile.TarFile):
    """A tar that is never closed: its end is two empty blocks, which come after the last piece."""


def _member(target: str, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(target.lstrip("/"))
    member.mode = mode
    member.mtime = EPOCH_S
    return member

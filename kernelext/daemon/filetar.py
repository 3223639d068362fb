"""A folder's files, which lie in blobs, as a tar: the same bytes whenever it is written."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kernelext.daemon.blobs import BlobStore
from kernelext.daemon.workdir import project_files
from kernelext.models import Chunk
from kernelext.recipe import EPOCH_S

FOLDER_MODE = 0o755
SCRIPT_MODE = 0o755


class ByteStream(io.RawIOBase):
    """An iterator of bytes as a file."""

    def __init__(self, data: Iterator[bytes]) -> None:
        self._data = data
        self._held = memoryview(b"")

    def readable(self) -> bool:
        """Whether it can be read: always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes."""
        if not self._held:
            self._held = memoryview(next(self._data, b""))
        size = min(len(buffer), len(self._held))
        buffer[:size] = self._held[:size]
        self._held = self._held[size:]
        return size


def write_tar(
    manifest: Chunk, blobs: BlobStore, target: Path, *, below: str = "", script: str = ""
) -> None:
    """Write the files of a manifest, root's and of one date, with the folders around them.

    Parameters
    ----------
    manifest : Chunk
    blobs : BlobStore
    target : Path
    below : str
        The folder in the tar that they lie in.
    script : str
        One that is to be run, whatever its mode is here.

    Raises
    ------
    DaemonError
        It is no manifest.
    """
    made = {""}
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        for entry in project_files(manifest, blobs):
            path = f"{below}/{entry.path}" if below else entry.path
            _add_folders(tar, path.rpartition("/")[0], made)
            member = _member(path, SCRIPT_MODE if entry.path == script else entry.mode)
            if entry.link is not None:
                member.type, member.linkname = tarfile.SYMTYPE, entry.link
                tar.addfile(member)
                continue
            member.size = sum(chunk.size_bytes for chunk in entry.chunks)
            parts = (blobs.read(chunk) for chunk in entry.chunks)
            with io.BufferedReader(ByteStream(parts)) as content:
                tar.addfile(member, content)


def _add_folders(tar: tarfile.TarFile, folder: str, made: set[str]) -> None:
    """Add a folder and those above it: an engine would make them as nobody can read them."""
    if folder in made:
        return
    _add_folders(tar, folder.rpartition("/")[0], made)
    member = _member(folder, FOLDER_MODE)
    member.type = tarfile.DIRTYPE
    tar.addfile(member)
    made.add(folder)


def _member(path: str, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(path)
    member.mode, member.mtime = mode, EPOCH_S
    return member

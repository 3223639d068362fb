"""What a container has changed of its image, as a layer: the same bytes whenever it is made."""

from __future__ import annotations

import posixpath
import shutil
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from kernelext.errors import EngineError
from kernelext.recipe import EPOCH_S

ADDED, DELETED = 1, 2  # of the kinds of change that engines tell
WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"  # a folder of the layer that hides that of the layers below
XATTRS = "SCHILY.xattr."
# What an engine or a run makes, and an image does not have.
NOT_OF_IMAGES = (
    *("/.dockerenv", "/dev", "/kernelext", "/proc", "/run", "/sys", "/tmp", "/var/tmp"),  # noqa: S108
    *("/etc/hostname", "/etc/hosts", "/etc/mtab", "/etc/resolv.conf"),
    *("/etc/machine-id", "/var/lib/dbus/machine-id"),
)
# Logs and caches, which differ from run to run; their folders are kept.
LOGS = ("/var/cache/apt", "/var/cache/fontconfig", "/var/cache/ldconfig", "/var/log")
BACKUPS = ("/var/cache/debconf", "/var/lib/dpkg")  # whose files that end with -old
BYTE_CODE = "/__pycache__"  # which Python writes anew


def write_layer(
    changes: Iterable[Mapping[str, Any]], export: BinaryIO, target: Path, spool: BinaryIO
) -> None:
    """Write a tar without an end: sorted, of one date, without logs and caches.

    Parameters
    ----------
    changes : iterable of mapping
        ``Path`` and ``Kind`` each (Docker Engine API, "Get changes on a container's filesystem").
    export : BinaryIO
        The container's files as a tar, read once.
    target : Path
    spool : BinaryIO
        A file for the changed files' content, until all are known.

    Raises
    ------
    EngineError
        A hard link to a file of the image that is not changed itself.
    """
    kept = [each for each in changes if not _is_beneath(str(each["Path"]), NOT_OF_IMAGES)]
    found = _Found(spool)
    found.read(export, {str(each["Path"]): int(each["Kind"]) for each in kept})
    deleted = [str(each["Path"]) for each in kept if each["Kind"] == DELETED]
    whiteouts = [_whiteout(path, found) for path in deleted if not _is_noise(path)]
    for path in [*whiteouts, *found.entries]:
        found.add_folders_of(path)
    with target.open("wb") as raw:
        found.write(raw, whiteouts)


class _Found:
    """The changed files, their content in the spool, and the folders around them."""

    def __init__(self, spool: BinaryIO) -> None:
        self.entries: dict[str, tarfile.TarInfo] = {}
        self.folders: dict[str, tarfile.TarInfo] = {}
        self._offsets: dict[str, int] = {}
        self._first_names: dict[str, str] = {}  # of files with several, by what the export says
        self._spool = spool

    def read(self, export: BinaryIO, kinds: Mapping[str, int]) -> None:
        """Take what is new or changed; of folders an engine tells also for what is in them."""
        with tarfile.open(fileobj=export, mode="r|") as tar:
            for member in tar:
                path = posixpath.normpath(f"/{member.name}")
                if member.isdir():
                    self.folders[path] = member
                    if kinds.get(path) == ADDED and BYTE_CODE not in path:
                        self.entries[path] = member
                elif path in kinds and BYTE_CODE not in path and not _is_noise(path):
                    self._take(tar, member, path)

    def _take(self, tar: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        if member.islnk():
            first = posixpath.normpath(f"/{member.linkname}")
            first = self._first_names.get(first, first)
            if first not in self.entries:
                raise EngineError(f"{path} is a hard link to {first}, which the image below has")
            self._first_names[path] = first
        elif member.isreg():
            content = tar.extractfile(member)
            assert content is not None
            self._offsets[path] = self._spool.tell()
            shutil.copyfileobj(content, self._spool)
        self.entries[path] = member

    def add_folders_of(self, path: str) -> None:
        """Take the folders that lead to a path, as they are in the container."""
        folder = posixpath.dirname(path)
        while folder in self.folders and folder != "/":
            self.entries[folder] = self.folders[folder]
            folder = posixpath.dirname(folder)

    def write(self, raw: BinaryIO, whiteouts: Iterable[str]) -> None:
        """Write all, a folder before what is in it."""
        # Never closed: the end of a tar comes after its last piece.
        out = tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115
        written: dict[str, str] = {}
        for path in sorted({*self.entries, *whiteouts}, key=lambda each: each.split("/")):
            if path not in self.entries:
                out.addfile(_member(path, tarfile.TarInfo()))
                continue
            member = _member(path, self.entries[path])
            first = self._first_names.get(path, path)
            if first not in self._offsets:
                out.addfile(member)
            elif first in written:
                member.type, member.linkname, member.size = tarfile.LNKTYPE, written[first], 0
                out.addfile(member)
            else:
                written[first] = member.name
                member.type, member.linkname = tarfile.REGTYPE, ""
                member.size = self.entries[first].size
                self._spool.seek(self._offsets[first])
                out.addfile(member, self._spool)


def _member(path: str, of: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return a member without what depends on when and where it was made."""
    member = tarfile.TarInfo(path.lstrip("/"))
    member.type, member.linkname, member.mode = of.type, of.linkname, of.mode
    member.uid, member.gid = of.uid, of.gid
    member.devmajor, member.devminor = of.devmajor, of.devminor
    member.mtime = EPOCH_S
    xattrs = {key: text for key, text in of.pax_headers.items() if key.startswith(XATTRS)}
    member.pax_headers = dict(sorted(xattrs.items()))
    return member


def _whiteout(path: str, found: _Found) -> str:
    """Return what says that a path of the layers below is gone (OCI, "Image Layer Filesystem")."""
    if path in found.folders:  # gone, and made anew
        return f"{path}/{OPAQUE}"
    folder, name = posixpath.split(path)
    return posixpath.join(folder, f"{WHITEOUT}{name}")


def _is_noise(path: str) -> bool:
    is_backup = path.endswith("-old") and posixpath.dirname(path) in BACKUPS
    return is_backup or _is_beneath(path, LOGS)


def _is_beneath(path: str, roots: Iterable[str]) -> bool:
    return any(path == root or path.startswith(f"{root}/") for root in roots)

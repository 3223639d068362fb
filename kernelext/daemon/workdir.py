"""Fills a container's work directory: project files, inputs, home, an empty journal."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import posixpath
import time
from collections.abc import Iterable
from pathlib import Path

from kernelext.daemon.blobs import BlobStore
from kernelext.daemon.outputs import Placed, stamp
from kernelext.errors import DaemonError
from kernelext.models import (
    HOME_DIR,
    INPUT_FOLDER,
    INPUTS_DIR,
    JOURNAL_NAME,
    OUTPUT_FOLDERS,
    PROJECT_DIR,
    VALUES_DIR,
    Chunk,
    FileEntry,
    ValueRef,
)


def make_work(work: Path, uid: int | None) -> int:
    """Make an empty work directory.

    Returns
    -------
    int
        A descriptor of its journal, opened before any cell could touch it.
    """
    work.mkdir(mode=0o700)
    for name in (HOME_DIR, PROJECT_DIR, INPUTS_DIR, VALUES_DIR):
        (work / name).mkdir(mode=0o700)
    fd = os.open(work / JOURNAL_NAME, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    _own(uid, work, *work.iterdir())
    return fd


def place_inputs(work: Path, refs: Iterable[ValueRef], blobs: BlobStore, uid: int | None) -> None:
    """Write every input as one file of its joined chunks."""
    for ref in refs:
        target = work / INPUTS_DIR / Path(ref.file_name).name
        if not target.exists():
            blobs.join(ref.chunks, target)
            _own(uid, target)


def place_project(work: Path, manifest: Chunk, blobs: BlobStore, uid: int | None) -> Placed:
    """Place the project's files; what lies under `data/input` cannot be written.

    Parameters
    ----------
    work : Path
    manifest : Chunk
    blobs : BlobStore
    uid : int or None
        The cell's user, who gets all but `data/input`.

    Raises
    ------
    DaemonError
        When a path of the manifest leaves the project.
    """
    folders = _Folders(f"{work}/{PROJECT_DIR}", uid)
    below = tuple(f"{folder}/" for folder in OUTPUT_FOLDERS)
    stamps = {}
    links = []
    for entry in project_files(manifest, blobs):
        target = folders.path_of(entry.path)
        if entry.link is not None:
            links.append((entry, target))
        elif _is_input(entry.path):
            _place_input(entry, target, blobs, uid)
        else:
            found = _copy(entry, target, blobs, uid)
            if entry.path.startswith(below):
                stamps[entry.path] = stamp(found)
    for entry, target in links:  # last: nothing is placed through one
        _place_link(entry, target, uid)
    return Placed(stamps, time.time_ns())


def _is_input(path: str) -> bool:
    return path == INPUT_FOLDER or path.startswith(f"{INPUT_FOLDER}/")


def _place_input(entry: FileEntry, target: str, blobs: BlobStore, uid: int | None) -> None:
    """Place a file that is only read.

    A cell of another user than the daemon's cannot write to it: it may be the blob itself.
    """
    if uid is not None and len(entry.chunks) == 1 and not entry.mode & 0o111:
        with contextlib.suppress(OSError):  # too many links, or another file system
            blobs.link(entry.chunks[0], target)
            return
    _copy(entry, target, blobs, None)
    Path(target).chmod(0o444 | (entry.mode & 0o111))


def _place_link(entry: FileEntry, target: str, uid: int | None) -> None:
    link = str(entry.link)
    inside = posixpath.normpath(posixpath.join(posixpath.dirname(entry.path), link))
    if link.startswith("/") or inside.split("/")[0] == "..":
        raise DaemonError(f"the link {entry.path!r} leaves the project")
    os.symlink(link, target)  # noqa: PTH211
    if uid is not None:
        os.lchown(target, uid, uid)


def _copy(entry: FileEntry, target: str, blobs: BlobStore, uid: int | None) -> os.stat_result:
    """Copy a file: a cell that writes to it must not write into a blob."""
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        blobs.copy(entry.chunks, fd)
        if entry.mode & 0o111:
            os.fchmod(fd, 0o600 | (entry.mode & 0o111))
        if uid is not None:
            os.fchown(fd, uid, uid)
        return os.fstat(fd)
    finally:
        os.close(fd)


@functools.lru_cache(maxsize=2)
def project_files(manifest: Chunk, blobs: BlobStore) -> tuple[FileEntry, ...]:
    """Read a project's manifest; the last ones are kept, since most runs find it unchanged.

    Raises
    ------
    DaemonError
        When it is no manifest, or one of its paths leaves the project or is there twice.
    """
    try:
        entries = tuple(FileEntry.from_json(each) for each in json.loads(blobs.read(manifest)))
    except (LookupError, TypeError, ValueError, RecursionError) as exc:
        raise DaemonError(f"the project's manifest makes no sense: {exc}") from exc
    _check_paths([entry.path for entry in entries])
    return entries


def _check_paths(paths: list[str]) -> None:
    folders: set[str] = set()
    for path in paths:
        parts = path.split("/")
        if not {"", ".", ".."}.isdisjoint(parts):
            raise DaemonError(f"the path {path!r} leaves the project")
        if "\0" in path or not _is_text(path):
            raise DaemonError(f"the path {path!r} cannot be a file's")
        folder = path.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    if len(set(paths)) < len(paths) or not folders.isdisjoint(paths):
        raise DaemonError("the project's manifest has a path twice")


def _is_text(path: str) -> bool:
    try:
        os.fsencode(path)
    except ValueError:
        return False
    return True


class _Folders:
    """Makes the project's folders when the first file of each is placed."""

    def __init__(self, root: str, uid: int | None) -> None:
        self._root = root
        self._uid = uid
        self._made = {""}

    def path_of(self, path: str) -> str:
        """Return where a file of the manifest is to lie; its folder is there."""
        self._make(path.rpartition("/")[0])
        return f"{self._root}/{path}"

    def _make(self, folder: str) -> None:
        if folder in self._made:
            return
        self._make(folder.rpartition("/")[0])
        target = Path(self._root, folder)
        if self._uid is not None and _is_input(folder):
            target.mkdir(mode=0o755)
            target.chmod(0o755)  # whatever the umask is
        else:
            target.mkdir(mode=0o700)
            _own(self._uid, target)
        self._made.add(folder)


def _own(uid: int | None, *paths: Path) -> None:
    if uid is not None:
        for path in paths:
            os.chown(path, uid, uid)

"""Fills a container's work directory: project files, inputs, home, an empty journal."""

from __future__ import annotations

import contextlib
import functools
import json
import os
from collections.abc import Iterable
from pathlib import Path

from kernelext.daemon.blobs import BlobStore
from kernelext.errors import DaemonError
from kernelext.models import (
    HOME_DIR,
    INPUTS_DIR,
    JOURNAL_NAME,
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


def place_project(work: Path, manifest: Chunk, blobs: BlobStore, uid: int | None) -> None:
    """Copy the project's files: a cell that writes to one must not write into a blob."""
    root = f"{work}/{PROJECT_DIR}"
    made = {""}
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    for entry in project_files(manifest, blobs):
        _make_folder(root, entry.path.rpartition("/")[0], made, uid)
        fd = os.open(f"{root}/{entry.path}", flags, 0o600)
        try:
            blobs.copy(entry.chunks, fd)
            os.fchmod(fd, 0o600 | (entry.mode & 0o111))
            if uid is not None:
                os.fchown(fd, uid, uid)
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


def _make_folder(root: str, folder: str, made: set[str], uid: int | None) -> None:
    if folder not in made:
        _make_folder(root, folder.rpartition("/")[0], made, uid)
        target = Path(root, folder)
        with contextlib.suppress(FileExistsError):
            target.mkdir(mode=0o700)
        _own(uid, target)
        made.add(folder)


def _own(uid: int | None, *paths: Path) -> None:
    if uid is not None:
        for path in paths:
            os.chown(path, uid, uid)

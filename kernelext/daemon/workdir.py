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
    """Copy the project's files: a cell that writes to one must not write into a blob.

    Raises
    ------
    DaemonError
        When a path of the manifest leaves the project.
    """
    root = f"{work}/{PROJECT_DIR}"
    made = {""}
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    for entry in project_files(manifest, blobs):
        folder, _, name = entry.path.rpartition("/")
        if entry.path.startswith("/") or name in ("", ".", "..") or ".." in folder.split("/"):
            raise DaemonError(f"the path {entry.path!r} leaves the project")
        _make_folder(root, folder, made, uid)
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
    """Read a project's manifest; the last ones are kept, since most runs find it unchanged."""
    return tuple(FileEntry.from_json(each) for each in json.loads(blobs.read(manifest)))


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

"""Places the last project once more when its run has ended, so that the next begins sooner.

Writing thousands of files takes a second or more; most runs find the project unchanged. No
cell has ever seen a spare copy.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path

from kernelext.daemon.blobs import BlobStore
from kernelext.daemon.outputs import Placed
from kernelext.daemon.removal import remove_tree, tree_bytes
from kernelext.daemon.statedir import StateDir
from kernelext.daemon.workdir import place_project, project_files
from kernelext.errors import KernelExtError
from kernelext.models import PROJECT_DIR, Chunk

MIN_FILES = 300  # fewer are placed while the container starts
MAX_BYTES = 512 * 1024 * 1024  # of the disk that a copy may take

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Spare:
    """A project that waits for its run."""

    manifest: Chunk
    folder: Path
    placed: Placed


class Spares:
    """At most one spare copy, of the project that was run last.

    Parameters
    ----------
    state : StateDir
        What another daemon has left in its `spares` goes.
    blobs : BlobStore
    uid : int or None
        The cells' user.
    """

    def __init__(self, state: StateDir, blobs: BlobStore, uid: int | None) -> None:
        self._state = state
        self._blobs = blobs
        self._uid = uid
        self._spare: Spare | None = None
        self._making: Chunk | None = None
        self._changed = threading.Condition()
        for stale in state.spares.iterdir():
            remove_tree(stale)

    def place(self, work: Path, manifest: Chunk) -> Placed:
        """Put a project into a work directory: the spare copy, else a new one."""
        spare = self._take(manifest)
        if spare is None:
            return place_project(work, manifest, self._blobs, self._uid)
        try:
            (spare.folder / PROJECT_DIR).rename(work / PROJECT_DIR)  # which is empty
        except FileNotFoundError:  # somebody has cleared the state directory by hand
            return place_project(work, manifest, self._blobs, self._uid)
        spare.folder.rmdir()
        return spare.placed

    def drop(self, before: float, *, dry_run: bool) -> int | None:
        """Remove the spare copy if it was made before a time; its size, None if none goes."""
        with self._changed:
            spare = self._spare
            if spare is None or _made_at(spare) > before:
                return None
            if not dry_run:
                self._spare = None
        size_bytes = tree_bytes(spare.folder)
        if not dry_run:
            remove_tree(spare.folder)
        return size_bytes

    def prepare(self, manifest: Chunk) -> None:
        """Make a spare copy, unless there is one or it does not pay; takes its time."""
        with self._changed:
            old = self._spare
            if self._making is not None or (old and old.manifest == manifest):
                return
            self._spare, self._making = None, manifest
        made = None
        try:
            if old is not None:
                remove_tree(old.folder)
            if self._pays(manifest):
                made = self._make(manifest)
        except (KernelExtError, OSError) as exc:  # the disk is full, say
            log.info("spare.failed reason=%s", exc)
        finally:
            with self._changed:
                self._spare, self._making = made, None
                self._changed.notify_all()

    def _take(self, manifest: Chunk) -> Spare | None:
        with self._changed:
            while self._making == manifest:
                self._changed.wait()
            spare = self._spare
            if spare is None or spare.manifest != manifest:
                return None
            self._spare = None
            return spare

    def _pays(self, manifest: Chunk) -> bool:
        files = project_files(manifest, self._blobs)
        size_bytes = sum(chunk.size_bytes for entry in files for chunk in entry.chunks)
        return len(files) >= MIN_FILES and size_bytes <= MAX_BYTES

    def _make(self, manifest: Chunk) -> Spare:
        folder = self._state.spares / secrets.token_hex(8)
        try:
            folder.mkdir(mode=0o700)
            (folder / PROJECT_DIR).mkdir(mode=0o700)
            placed = place_project(folder, manifest, self._blobs, self._uid)
            if self._uid is not None:
                os.chown(folder / PROJECT_DIR, self._uid, self._uid)
        except BaseException:
            remove_tree(folder)
            raise
        return Spare(manifest, folder, placed)


def _made_at(spare: Spare) -> float:
    try:
        return spare.folder.stat().st_mtime
    except OSError:  # it is gone, and is to be forgotten
        return 0.0

"""Removes from a state directory what nobody needs: old blobs, unfetched ends, leftovers."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kernelext.daemon.attempts import RECORD_NAME, Attempt, Attempts
from kernelext.daemon.engine import Engine
from kernelext.daemon.imaging import Imaging
from kernelext.daemon.removal import remove_tree, tree_bytes
from kernelext.daemon.spares import Spares
from kernelext.daemon.statedir import StateDir

# A client that was told that a blob is here submits within this time, or asks again.
BLOB_REST_S = 600.0


@dataclass(frozen=True)
class Removed:
    """What was removed, or would be: a kind, a name for people, a number and a size."""

    kind: str
    name: str
    count: int
    size_bytes: int


class Collector:
    """Looks through a state directory.

    Parameters
    ----------
    state : StateDir
    attempts : Attempts
    engine : Engine
    spares : Spares
    imaging : Imaging
    needed : callable
        Returns the digests of the blobs that an attempt needs.
    """

    def __init__(
        self,
        state: StateDir,
        attempts: Attempts,
        engine: Engine,
        spares: Spares,
        imaging: Imaging,
        needed: Callable[[Attempt], list[str]],
    ) -> None:
        self._state = state
        self._attempts = attempts
        self._engine = engine
        self._spares = spares
        self._imaging = imaging
        self._needed = needed

    def collect(self, owner: str, older_than_s: float, *, dry_run: bool) -> list[Removed]:
        """Remove what is older; nothing of a living run, and no results of another owner.

        The caller lets no run be submitted meanwhile.
        """
        before = time.time() - older_than_s
        return [
            *self._ended(owner, before, dry_run),
            *self._leftovers(dry_run),
            *self._spare(before, dry_run),
            *self._blobs(min(before, time.time() - BLOB_REST_S), dry_run),
            *self._partial(min(before, time.time() - BLOB_REST_S), dry_run),
            *self._pieces(min(before, time.time() - BLOB_REST_S), dry_run),
        ]

    def _ended(self, owner: str, before: float, dry_run: bool) -> Iterator[Removed]:
        for attempt in self._attempts:
            spec = attempt.record.spec
            if not attempt.state.is_final or spec.owner != owner or attempt.listeners:
                continue
            directory = self._state.attempt(attempt.id)
            try:
                ended_at = (directory / RECORD_NAME).stat().st_mtime
            except OSError:
                continue
            if ended_at > before:
                continue
            size_bytes = tree_bytes(directory)
            if not dry_run:
                self._attempts.forget(attempt)
            yield Removed("results", f"{attempt.id} ({spec.title})", 1, size_bytes)

    def _leftovers(self, dry_run: bool) -> Iterator[Removed]:
        # First what is there, then who uses it: what is made in between is not looked at.
        containers = self._engine.containers()
        folders = list(self._state.work.iterdir())
        used = {attempt.record.container for attempt in self._attempts.living()}
        used.update(self._imaging.containers())
        for container in containers:
            if container not in used:
                if not dry_run:
                    self._engine.remove(container)
                yield Removed("container", container, 1, 0)
        for path in folders:
            if path.name in used or path.is_symlink():
                continue
            size_bytes = tree_bytes(path)
            if not dry_run:
                remove_tree(path)
            yield Removed("work directory", path.name, 1, size_bytes)

    def _spare(self, before: float, dry_run: bool) -> Iterator[Removed]:
        size_bytes = self._spares.drop(before, dry_run=dry_run)
        if size_bytes is not None:
            yield Removed("spare copy of a project", "", 1, size_bytes)

    def _blobs(self, before: float, dry_run: bool) -> Iterator[Removed]:
        needed = {digest for attempt in self._attempts.living() for digest in self._needed(attempt)}
        needed.update(self._imaging.needed())
        doomed = [
            entry
            for entry in _old_files(self._state.blobs, before)
            if Path(entry.path).name not in needed
        ]
        yield from _remove("blobs", doomed, dry_run)

    def _pieces(self, before: float, dry_run: bool) -> Iterator[Removed]:
        if not self._imaging.is_busy:
            doomed = list(_old_files(self._state.pieces, before))
            yield from _remove("pieces of images", doomed, dry_run)

    def _partial(self, before: float, dry_run: bool) -> Iterator[Removed]:
        yield from _remove("partial blobs", list(_old_files(self._state.incoming, before)), dry_run)


@dataclass(frozen=True)
class _File:
    path: str
    size_bytes: int


def _remove(kind: str, files: list[_File], dry_run: bool) -> Iterator[Removed]:
    count = size_bytes = 0
    for file in files:
        if not dry_run:
            try:
                os.unlink(file.path)  # noqa: PTH108 - there may be very many
            except OSError:
                continue
        count += 1
        size_bytes += file.size_bytes
    if count:
        yield Removed(kind, "", count, size_bytes)


def _old_files(folder: Path, before: float) -> Iterator[_File]:
    """Go over the regular files that were last used before a time."""
    for root, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(root, name)  # noqa: PTH118 - there may be very many
            with contextlib.suppress(OSError):
                found = os.lstat(path)
                if stat.S_ISREG(found.st_mode) and found.st_mtime <= before:
                    yield _File(path, found.st_size)

"""A snapshot of the project: every file that travels, by path, mode and digest."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from kernelext.bundle.ignore import IgnoreRules
from kernelext.bundle.statcache import StatCache, is_racy
from kernelext.errors import BundleError
from kernelext.models import CHUNK_BYTES, Chunk, FileEntry

READ_TRIES = 3
HELD_BYTES = 16 * 1024 * 1024  # of files that were just changed, and may be again


@dataclass(frozen=True)
class Snapshot:
    """The project's files at one moment.

    Attributes
    ----------
    root : Path
    files : tuple of FileEntry
        In the order of their paths.
    manifest : bytes
        The same as JSON: what the daemon reads.
    manifest_chunk : Chunk
    left : tuple of (str, str)
        Paths that stay at home although no rule says so, and why.
    """

    root: Path
    files: tuple[FileEntry, ...]
    manifest: bytes
    manifest_chunk: Chunk
    left: tuple[tuple[str, str], ...] = ()
    _held: Mapping[str, bytes] = field(default_factory=dict)

    def read(self, digest: str) -> bytes:
        """Read one part.

        Raises
        ------
        BundleError
            When its file has changed since.
        """
        if digest == self.manifest_chunk.digest:
            return self.manifest
        if digest in self._held:
            return self._held[digest]
        if digest not in self._places:
            raise BundleError(f"no file of the project holds {digest[:12]}")
        return self._read_chunk(*self._places[digest])

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Sizes of all parts by digest, that of the manifest too."""
        sizes = {chunk.digest: chunk.size_bytes for entry in self.files for chunk in entry.chunks}
        sizes[self.manifest_chunk.digest] = self.manifest_chunk.size_bytes
        return sizes

    def holds(self, chunk: Chunk) -> bool:
        """Whether some file has this part."""
        return chunk.digest in self._places

    def below(self, folders: Iterable[str]) -> dict[str, FileEntry]:
        """Return the files below some folders, by path."""
        heads = tuple(f"{folder}/" for folder in folders)
        return {entry.path: entry for entry in self.files if entry.path.startswith(heads)}

    @cached_property
    def _places(self) -> dict[str, tuple[FileEntry, Chunk, int]]:
        """Where each part lies: its file, itself, its offset."""
        places: dict[str, tuple[FileEntry, Chunk, int]] = {}
        for entry in self.files:
            offset = 0
            for chunk in entry.chunks:
                places.setdefault(chunk.digest, (entry, chunk, offset))
                offset += chunk.size_bytes
        return places

    def _read_chunk(self, entry: FileEntry, chunk: Chunk, offset: int) -> bytes:
        try:
            with (self.root / entry.path).open("rb") as file:
                file.seek(offset)
                data = file.read(chunk.size_bytes)
        except OSError as exc:
            raise BundleError(f"{entry.path} cannot be read: {exc.strerror}") from exc
        if hashlib.sha256(data).hexdigest() != chunk.digest:
            raise BundleError(
                f"{entry.path} changed while it was being sent; run the cell again, or name it in"
                f" {IgnoreRules(self.root).file_name} if it changes all the time"
            )
        return data


def take_snapshot(
    root: Path,
    cache: StatCache,
    now_ns: int,
    limit_bytes: int,
    notebook: Path | None = None,
) -> Snapshot:
    """Look at every file of the project.

    Parameters
    ----------
    root : Path
    cache : StatCache
    now_ns : int
        The time, nanoseconds since 1970.
    limit_bytes : int
        More than this does not travel.
    notebook : Path, optional
        Stays at home: it is saved again with every output, and no cell needs it.

    Raises
    ------
    BundleError
        When it is too large, naming the largest files, or a file cannot be read.
    """
    root = Path(os.path.realpath(root))
    project = cache.project(str(root))
    found = project.tree.walk(IgnoreRules(root))
    own = notebook.relative_to(root).as_posix() if notebook and root in notebook.parents else None
    if own:
        found = [each for each in found if each[0] != own]
    total = sum(stat.st_size for _, stat in found)
    if total > limit_bytes:
        raise BundleError(_too_large(found, total, limit_bytes))
    reader = _Reader(root, now_ns)
    entries = project.entries(found)
    files: list[FileEntry] = []
    for entry, (path, stat) in zip(entries, found, strict=True):
        if entry is None:
            entry = reader.read(path, stat)
            project.keep(stat, now_ns, entry)
        files.append(entry)
    files += [FileEntry(path, 0o777, (), link) for path, link in project.tree.links.items()]
    left = tuple(project.tree.left)
    return project.made_of((files, left), lambda: _snapshot(root, files, left, reader.held))


def _snapshot(
    root: Path,
    files: list[FileEntry],
    left: tuple[tuple[str, str], ...],
    held: Mapping[str, bytes],
) -> Snapshot:
    files = sorted(files, key=lambda entry: entry.path)
    manifest = json.dumps([_plain(entry) for entry in files], separators=(",", ":")).encode()
    chunk = Chunk(hashlib.sha256(manifest).hexdigest(), len(manifest))
    return Snapshot(root, tuple(files), manifest, chunk, left, held)


def _plain(entry: FileEntry) -> dict[str, object]:
    chunks = [{"digest": each.digest, "size_bytes": each.size_bytes} for each in entry.chunks]
    plain: dict[str, object] = {"path": entry.path, "mode": entry.mode, "chunks": chunks}
    return {**plain, "link": entry.link} if entry.link is not None else plain


class _Reader:
    """Reads files, and keeps what may be another the next moment."""

    def __init__(self, root: Path, now_ns: int) -> None:
        self._root = root
        self._now_ns = now_ns
        self._room_bytes = HELD_BYTES
        self.held: dict[str, bytes] = {}

    def read(self, path: str, found: os.stat_result) -> FileEntry:
        """Read a file; one that changes meanwhile is read again, its last state counts."""
        full = f"{self._root}/{path}"
        is_held = is_racy(found, self._now_ns) and found.st_size <= min(
            CHUNK_BYTES, self._room_bytes
        )
        for _ in range(READ_TRIES):
            held: dict[str, bytes] = {}
            before = _stat(full)
            chunks = file_chunks(full, held if is_held else None)
            if before == _stat(full):
                break
        self._room_bytes -= sum(len(data) for data in held.values())
        self.held.update(held)
        return FileEntry(path, found.st_mode & 0o777, chunks)


def _stat(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino


def file_chunks(path: str, held: dict[str, bytes] | None = None) -> tuple[Chunk, ...]:
    """Read a file and name its parts by their digests.

    Parameters
    ----------
    path : str
    held : dict, optional
        Takes the parts themselves.

    Raises
    ------
    BundleError
    """
    chunks = []
    try:
        with Path(path).open("rb") as file:
            while data := file.read(CHUNK_BYTES):
                chunks.append(Chunk(hashlib.sha256(data).hexdigest(), len(data)))
                if held is not None:
                    held[chunks[-1].digest] = data
    except OSError as exc:
        raise BundleError(f"{Path(path).name} cannot be read: {exc.strerror}") from exc
    return tuple(chunks)


def _too_large(found: list[tuple[str, os.stat_result]], total: int, limit_bytes: int) -> str:
    largest = sorted(found, key=lambda each: -each[1].st_size)[:5]
    names = ", ".join(f"{path} ({stat.st_size / 1e6:.0f} MB)" for path, stat in largest)
    return (
        f"the project's files are {total / 1e9:.2f} GB, more than upload_limit"
        f" ({limit_bytes / 1e9:.2f} GB); the largest: {names}. Name what is not needed in"
        " .gitignore or .dockerignore, or raise upload_limit in your kernelext.toml"
    )

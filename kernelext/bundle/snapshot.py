"""A snapshot of the project: every file that travels, by path, mode and digest."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from kernelext.bundle.ignore import IgnoreRules
from kernelext.bundle.statcache import StatCache
from kernelext.errors import BundleError
from kernelext.models import CHUNK_BYTES, Chunk, FileEntry, to_json


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
    """

    root: Path
    files: tuple[FileEntry, ...]
    manifest: bytes
    manifest_chunk: Chunk

    def read(self, digest: str) -> bytes:
        """Read one part.

        Raises
        ------
        BundleError
            When its file has changed since.
        """
        if digest == self.manifest_chunk.digest:
            return self.manifest
        if digest not in self._places:
            raise BundleError(f"no file of the project holds {digest[:12]}")
        return self._read_chunk(*self._places[digest])

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
            raise BundleError(f"{entry.path} changed while it was being sent; run the cell again")
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
    own = notebook.relative_to(root).as_posix() if notebook and root in notebook.parents else None
    walked = (each for each in _walk(str(root), "", IgnoreRules(root)) if each[0] != own)
    found = sorted(walked, key=lambda each: each[0])
    total = sum(stat.st_size for _, stat in found)
    if total > limit_bytes:
        raise BundleError(_too_large(found, total, limit_bytes))
    parts = []
    for path, stat in found:
        full = f"{root}/{path}"
        chunks = cache.chunks(full, stat, now_ns, partial(file_chunks, full))
        parts.append((path, stat.st_mode & 0o777, chunks))
    return cache.made_of(parts, str(root), lambda: _snapshot(root, parts))


def _snapshot(root: Path, parts: list[tuple[str, int, tuple[Chunk, ...]]]) -> Snapshot:
    files = tuple(FileEntry(*part) for part in parts)
    manifest = json.dumps(to_json(files), separators=(",", ":")).encode()
    chunk = Chunk(hashlib.sha256(manifest).hexdigest(), len(manifest))
    return Snapshot(root, files, manifest, chunk)


def _walk(folder: str, above: str, rules: IgnoreRules) -> Iterator[tuple[str, os.stat_result]]:
    # Strings: pathlib takes ten times as long as the system, and there may be many files.
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except OSError as exc:
        raise BundleError(f"{above or folder} cannot be read: {exc.strerror}") from exc
    for entry in entries:
        path = above + entry.name
        is_dir = entry.is_dir(follow_symlinks=False)
        if rules.is_ignored(path, is_dir=is_dir):
            continue
        if is_dir:
            yield from _walk(entry.path, path + "/", rules)
        elif entry.is_file():  # what a link points at travels as a file
            with contextlib.suppress(FileNotFoundError):  # gone since the folder was read
                yield path, entry.stat()


def file_chunks(path: str) -> tuple[Chunk, ...]:
    """Read a file and name its parts by their digests.

    Raises
    ------
    BundleError
    """
    chunks = []
    try:
        with Path(path).open("rb") as file:
            while data := file.read(CHUNK_BYTES):
                chunks.append(Chunk(hashlib.sha256(data).hexdigest(), len(data)))
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

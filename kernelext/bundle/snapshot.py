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

from kernelext.bundle.credentials import SCANNED_BYTES, secret_in
from kernelext.bundle.ignore import IgnoreRules
from kernelext.bundle.statcache import StatCache
from kernelext.errors import BundleError, ProjectTooLarge, SecretsFound
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
    def file_sizes(self) -> dict[str, int]:
        """Bytes of every file, by its path."""
        return {entry.path: sum(c.size_bytes for c in entry.chunks) for entry in self.files}

    @cached_property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(self.file_sizes.values())

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
    private: Path | None = None,
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
    private : Path, optional
        Stays at home too: the user's own settings, which may hold secrets.

    Raises
    ------
    ProjectTooLarge
        Before a file is read.
    SecretsFound
        When files look like secrets and no rule says what is to become of them.
    BundleError
        When a file cannot be read.
    """
    rules = IgnoreRules(root)
    found = list_files(root, rules, (notebook, private))
    total = sum(stat.st_size for _, stat in found)
    if total > limit_bytes:
        raise ProjectTooLarge({path: stat.st_size for path, stat in found})
    refuse_secrets(
        {path: rules.links.get(path, "") for path, _ in found if rules.is_secret(path)}, rules
    )
    parts = []
    for path, stat in found:
        full = f"{root}/{path}"
        read = partial(file_chunks, full, cache.secrets)
        chunks = cache.chunks(full, stat, now_ns, read)
        parts.append((path, stat.st_mode & 0o777, chunks))
    if cache.secrets:
        held = {path: cache.secrets.get(each[0].digest) for path, _, each in parts if each}
        refuse_secrets({path: f"holds {what}" for path, what in held.items() if what}, rules)
    return cache.made_of(parts, str(root), lambda: _snapshot(root, parts))


def list_files(
    root: Path,
    rules: IgnoreRules,
    at_home: Iterable[Path | None] = (),
    stays: dict[str, str] | None = None,
) -> list[tuple[str, os.stat_result]]:
    """List the files that travel, in the order of their paths.

    Parameters
    ----------
    at_home : iterable of Path or None
        Files that stay, whatever the rules say.
    stays : dict of str to str, optional
        Told of every file and folder that a rule keeps at home, and why.
    """
    own = {path.relative_to(root).as_posix() for path in at_home if path and root in path.parents}
    walked = (each for each in _walk(str(root), "", rules, stays) if each[0] not in own)
    return sorted(walked, key=lambda each: each[0])


def refuse_secrets(suspects: dict[str, str], rules: IgnoreRules) -> None:
    """Raise for files that look like secrets and are not allowed by name.

    Parameters
    ----------
    suspects : dict of str to str
        What each holds or links to; empty where only its name says so.

    Raises
    ------
    SecretsFound
    """
    found = {path: what for path, what in suspects.items() if not rules.is_allowed(path)}
    if found:
        raise SecretsFound(found, rules.file_name)


def _snapshot(root: Path, parts: list[tuple[str, int, tuple[Chunk, ...]]]) -> Snapshot:
    files = tuple(FileEntry(*part) for part in parts)
    manifest = json.dumps(to_json(files), separators=(",", ":")).encode()
    chunk = Chunk(hashlib.sha256(manifest).hexdigest(), len(manifest))
    return Snapshot(root, files, manifest, chunk)


def _walk(
    folder: str, above: str, rules: IgnoreRules, stays: dict[str, str] | None = None
) -> Iterator[tuple[str, os.stat_result]]:
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
            if stays is not None:
                stays[path + "/" * is_dir] = rules.reason(path, is_dir=is_dir)
            continue
        if is_dir:
            yield from _walk(entry.path, path + "/", rules, stays)
        elif entry.is_file():
            if entry.is_symlink():
                rules.note_link(path, os.path.realpath(entry.path))
            # What a link points at travels as a file.
            with contextlib.suppress(FileNotFoundError):  # gone since the folder was read
                yield path, entry.stat()


def file_chunks(path: str, secrets: dict[str, str] | None = None) -> tuple[Chunk, ...]:
    """Read a file and name its parts by their digests.

    Parameters
    ----------
    path : str
    secrets : dict, optional
        Gets what a small file holds that looks like a secret, by its digest.

    Raises
    ------
    BundleError
    """
    chunks = []
    try:
        with Path(path).open("rb") as file:
            while data := file.read(CHUNK_BYTES):
                chunks.append(Chunk(hashlib.sha256(data).hexdigest(), len(data)))
                is_small = len(chunks) == 1 and len(data) <= SCANNED_BYTES
                what = secret_in(data) if is_small and secrets is not None else None
                if what and secrets is not None:
                    secrets[chunks[0].digest] = what
    except OSError as exc:
        raise BundleError(f"{Path(path).name} cannot be read: {exc.strerror}") from exc
    return tuple(chunks)

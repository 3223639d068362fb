"""A snapshot of the project: every file that travels, by path, mode and digest."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from kernelext.bundle.credentials import SCANNED_BYTES, secret_in
from kernelext.bundle.disclosure import refuse_secrets
from kernelext.bundle.ignore import IgnoreRules
from kernelext.bundle.stamps import Stamp, is_racy
from kernelext.bundle.statcache import StatCache
from kernelext.errors import BundleError, ProjectTooLarge
from kernelext.models import CHUNK_BYTES, Chunk, FileEntry
from kernelext.wire import MAX_BODY_BYTES

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
    def file_sizes(self) -> dict[str, int]:
        """Bytes of every file, by its path."""
        return {entry.path: sum(c.size_bytes for c in entry.chunks) for entry in self.files}

    @cached_property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(self.file_sizes.values())

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
    at_home: Iterable[Path] = (),
    rules: IgnoreRules | None = None,
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
    at_home : iterable of Path
        Files that stay, whatever the rules say.
    rules : IgnoreRules, optional
        Instead of the folder's own.

    Raises
    ------
    ProjectTooLarge
        Before a file is read.
    SecretsFound
        When files look like secrets and no rule says what is to become of them.
    BundleError
        When a file cannot be read, or there are too many to list.
    """
    root = Path(os.path.realpath(root))
    project, rules = cache.project(str(root)), rules or IgnoreRules(root)
    own = {path.relative_to(root).as_posix() for path in at_home if root in path.parents}
    found = [each.without(own) for each in project.tree.walk(rules, now_ns)]
    if sum(each.size_bytes for each in found) > limit_bytes:
        raise ProjectTooLarge({path: size for each in found for path, size in each.sizes()})
    suspects = project.tree.suspects
    refuse_secrets({path: suspects[path] for path in suspects if path not in own}, rules)
    reader = _Reader(root, now_ns, project.secrets)
    files: list[FileEntry] = []
    for each in found:
        files += project.known(each) or project.entries(each, now_ns, reader.read)
    if project.secrets:
        held = {
            each.path: project.secrets.get(each.chunks[0].digest) for each in files if each.chunks
        }
        refuse_secrets({path: f"holds {what}" for path, what in held.items() if what}, rules)
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
    if len(manifest) > MAX_BODY_BYTES:  # it travels whole
        raise BundleError(
            f"the project has {len(files):,} files, more than a host can be told of at once:"
            " pack small files into archives, or name what the cells do not need in .dockerignore"
            " or .gitignore"
        )
    chunk = Chunk(hashlib.sha256(manifest).hexdigest(), len(manifest))
    return Snapshot(root, tuple(files), manifest, chunk, left, held)


def _plain(entry: FileEntry) -> dict[str, object]:
    chunks = [{"digest": each.digest, "size_bytes": each.size_bytes} for each in entry.chunks]
    plain: dict[str, object] = {"path": entry.path, "mode": entry.mode, "chunks": chunks}
    return {**plain, "link": entry.link} if entry.link is not None else plain


class _Reader:
    """Reads files, and keeps what may be another the next moment."""

    def __init__(self, root: Path, now_ns: int, secrets: dict[str, str]) -> None:
        self._root = root
        self._now_ns = now_ns
        self._secrets = secrets
        self._room_bytes = HELD_BYTES
        self.held: dict[str, bytes] = {}

    def read(self, path: str, found: Stamp) -> FileEntry | None:
        """Read a file; one that changes meanwhile is read again, its last state counts.

        None for one that is gone: it is as if it had gone before.
        """
        full = f"{self._root}/{path}"
        size_bytes, mode = found[0], found[-1]
        is_small = size_bytes <= min(CHUNK_BYTES, self._room_bytes)
        is_held = is_small and is_racy(found, self._now_ns)
        for _ in range(READ_TRIES):
            held: dict[str, bytes] = {}
            before = _stat(full)
            try:
                chunks = file_chunks(full, held if is_held else None, self._secrets)
            except BundleError as exc:
                if isinstance(exc.__cause__, (FileNotFoundError, NotADirectoryError)):
                    return None
                raise
            if before == _stat(full):
                break
        self._room_bytes -= sum(len(data) for data in held.values())
        self.held.update(held)
        return FileEntry(path, mode & 0o777, chunks)


def _stat(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino


def file_chunks(
    path: str, held: dict[str, bytes] | None = None, secrets: dict[str, str] | None = None
) -> tuple[Chunk, ...]:
    """Read a file and name its parts by their digests.

    Parameters
    ----------
    path : str
    held : dict, optional
        Takes the parts themselves.
    secrets : dict, optional
        Takes what a small file holds that looks like a secret, by its digest.

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
                if secrets is not None and len(chunks) == 1 and len(data) <= SCANNED_BYTES:
                    _note_secret(chunks[0].digest, data, secrets)
    except OSError as exc:
        raise BundleError(f"{Path(path).name} cannot be read: {exc.strerror}") from exc
    return tuple(chunks)


def _note_secret(digest: str, data: bytes, secrets: dict[str, str]) -> None:
    what = secret_in(data)
    if what:
        secrets[digest] = what

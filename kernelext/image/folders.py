"""Folders whose files a build reads, a Dockerfile's or a script's: looked at, and sent."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from kernelext.bundle import IgnoreRules, Snapshot, StatCache, take_snapshot
from kernelext.errors import ImageBuildError, ProjectTooLarge
from kernelext.hosts.sizes import size_text
from kernelext.image.jobs import Check, Say
from kernelext.image.wanted import Folder
from kernelext.link import HostLink

LIMIT_BYTES = 2 * 1024**3
SHOWN_FILES = 3

_cache = StatCache()  # not the project's own: here other rules hold
_taking = threading.Lock()  # several hosts' builds look at the same folder


def look_at(root: Path, start: str, limit_bytes: int = LIMIT_BYTES) -> Folder:
    """Look at a folder's files, by the rules of its `.dockerignore` alone.

    Parameters
    ----------
    root : Path
    start : str
        The file that its build begins with, which is read whatever the rules say.
    limit_bytes : int
        More is not sent.

    Raises
    ------
    ImageBuildError
        They are more than that.
    BundleError
        They look like secrets, or cannot be read.
    """
    rules = IgnoreRules(root, kept=start)
    try:
        snapshot = _take(root, rules, limit_bytes)
    except ProjectTooLarge as exc:
        sizes = exc.sizes
        largest = sorted(sizes, key=lambda path: -sizes[path])[:SHOWN_FILES]
        raise ImageBuildError(
            f"{start} would be built from {size_text(sum(sizes.values()))} of files, above"
            f" the upload limit: name what it does not need in {rules.file_name}; the largest are"
            f" {', '.join(largest)}"
        ) from exc
    return Folder(str(root), start, snapshot.manifest_chunk.digest)


def snapshot_of(folder: Folder) -> Snapshot:
    """Return the files of a folder that was looked at, as they are now."""
    root = Path(folder.root)
    return _take(root, IgnoreRules(root, kept=folder.start), sys.maxsize)


def _take(root: Path, rules: IgnoreRules, limit_bytes: int) -> Snapshot:
    with _taking:
        return take_snapshot(root, _cache, time.time_ns(), limit_bytes, (), rules)


def send_files(
    link: HostLink, snapshot: Snapshot, missing: Sequence[str], say: Say, check: Check
) -> None:
    """Send a host the parts of files that it lacks.

    Raises
    ------
    BundleError
        One has changed since.
    """
    size_bytes = sum(snapshot.sizes[digest] for digest in missing)
    say(f"sending {size_text(size_bytes)} of files")

    def read() -> Iterator[tuple[str, bytes]]:
        for digest in missing:
            check()
            yield digest, snapshot.read(digest)

    link.put(read())

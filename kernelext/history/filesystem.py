"""Which way of writing a history's file system allows; it reads the mounts, nothing else."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

MOUNTS = Path("/proc/self/mounts")

# SQLite's write-ahead log needs memory that all its programs share; across machines there is none.
NETWORK_TYPES = frozenset(
    {
        "9p", "acfs", "afs", "beegfs", "ceph", "cifs", "davfs", "gfs", "gfs2", "glusterfs",
        "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2", "smb3",
        "smbfs", "virtiofs", "vboxsf", "wekafs",
    }
)  # fmt: skip
ESCAPE = re.compile(r"\\([0-7]{3})")


def is_on_network(path: Path, mounts: Path = MOUNTS) -> bool:
    """Whether a file lies, or would lie, on a file system that other machines write to.

    Every FUSE file system counts: most are a network's, and those that are not lose little.
    Where there is no table of mounts, the answer is no.

    Examples
    --------
    >>> is_on_network(Path("/absent"), Path("/no/such/table"))
    False
    """
    found, length = "", -1
    target = path.resolve()
    for point, kind in _mounts(mounts):
        # A later mount on the same point hides the earlier.
        if (point == target or point in target.parents) and len(point.parts) >= length:
            found, length = kind, len(point.parts)
    return found in NETWORK_TYPES or found.startswith("fuse")


def _mounts(table: Path) -> list[tuple[Path, str]]:
    text = ""
    with contextlib.suppress(OSError):
        text = table.read_text(encoding="utf-8", errors="surrogateescape")
    fields = (line.split(" ") for line in text.splitlines())
    return [(Path(_plain(each[1])), each[2]) for each in fields if len(each) > 2]


def _plain(word: str) -> str:
    """Undo the table's own escapes: a space is ``\\040``."""
    return ESCAPE.sub(lambda match: chr(int(match[1], 8)), word)

"""The daemon's state directory: where everything lies.

::

    lock            held by the one daemon of this directory
    daemon.sock     where clients connect
    code/DIGEST/    our own modules, unpacked, read-only in containers
    blobs/AB/DIGEST stored bytes, read-only
    incoming/       blobs not whole yet
    spares/         a copy of a project that waits for its next run
    poke/daemon     the datagram socket that wakes the daemon
    images.json     what probes found in images
    builds/BUILD/   what the container that builds an image reads and writes
    pieces/         what wheels install, for the next image
    layers.json     the digests of layers made of them
    work/CONTAINER/ the work directory of a container that no attempt has claimed
    runs/RUN/FOLD/ATTEMPT/{record.json,work/}
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import threading
from pathlib import Path

from kernelext.daemon.removal import remove_tree
from kernelext.errors import DaemonError
from kernelext.models import AttemptId

SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,80}")
SAFE_DIGEST = re.compile(r"[0-9a-f]{64}")


class StateDir:
    """Paths of one state directory, made when first needed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for path in (self.blobs, self.incoming, self.spares, self.poke, self.work, self.runs):
            path.mkdir(parents=True, exist_ok=True)
        for path in (self.blobs, self.incoming, self.spares, self.work, self.runs):
            path.chmod(0o700)
        root.chmod(0o711)  # group docker reaches the socket, nobody lists

    @property
    def lock(self) -> Path:
        """The lock file."""
        return self.root / "lock"

    @property
    def socket(self) -> Path:
        """Where clients connect."""
        return self.root / "daemon.sock"

    @property
    def blobs(self) -> Path:
        """Stored bytes."""
        return self.root / "blobs"

    @property
    def incoming(self) -> Path:
        """Blobs not whole yet."""
        return self.root / "incoming"

    @property
    def spares(self) -> Path:
        """Copies of projects that wait for their next run."""
        return self.root / "spares"

    @property
    def builds(self) -> Path:
        """Folders of images that are being built."""
        return self.root / "builds"

    @property
    def pieces(self) -> Path:
        """What wheels install, for the next image."""
        return self.root / "pieces"

    @property
    def poke(self) -> Path:
        """The directory of the datagram socket."""
        return self.root / "poke"

    @property
    def work(self) -> Path:
        """Work directories before their claim."""
        return self.root / "work"

    @property
    def runs(self) -> Path:
        """Attempts."""
        return self.root / "runs"

    def attempt(self, attempt: AttemptId) -> Path:
        """Return an attempt's directory.

        Raises
        ------
        DaemonError
            When the ids are no plain names.
        """
        for part in (attempt.run, attempt.fold):
            if not SAFE_NAME.fullmatch(part):
                raise DaemonError(f"{part!r} is no name of a run or fold")
        return self.runs / attempt.run / attempt.fold / str(attempt.attempt)

    def forget(self, attempt: AttemptId) -> None:
        """Delete an attempt's directory and what is then empty above it.

        Its files, which may be thousands, go in a thread; those that stay because the daemon
        is killed go when the next one starts: it empties `incoming`.
        """
        path = self.attempt(attempt)
        doomed = self.incoming / f"forgotten.{secrets.token_hex(8)}"
        try:
            path.rename(doomed)
        except OSError:
            doomed = path
        remover = threading.Thread(target=remove_tree, args=(doomed,), daemon=True)
        remover.start()
        for parent in (path.parent, path.parent.parent):
            try:
                parent.rmdir()
            except OSError:
                return


def open_beneath(directory: Path, *parts: str) -> int:
    """Open a regular file for reading, following no link on the way.

    The directory belongs to a container, which may have put anything in its place.

    Raises
    ------
    DaemonError
        When there is no regular file of that name.
    """
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        for part in parts:
            below = os.open(part, flags, dir_fd=fd)
            os.close(fd)
            fd = below
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(f"{parts[-1]} is no regular file")
    except OSError as exc:
        os.close(fd)
        raise DaemonError(f"the run left no file {'/'.join(parts)}") from exc
    return fd

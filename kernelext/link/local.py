"""The daemon of the host ``local``: a process of this machine, in a session of its own."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from kernelext.daemon.process_engine import KEPT_VARIABLES
from kernelext.errors import ConnectError
from kernelext.link.archive import Archive
from kernelext.link.pipe import SocketAbsent

READY_TIMEOUT_S = 20.0
STATE_TAKEN = 75  # the daemon's word for: another one holds the state directory


class LocalPipe:
    """A connected socket as a `Pipe`."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def sendall(self, data: bytes | bytearray | memoryview, /) -> None:
        """Send all of `data`."""
        self._connection.sendall(data)

    def recv(self, size: int, /) -> bytes:
        """Wait for bytes and return at most `size` of them; none at the end."""
        return self._connection.recv(size)

    def settimeout(self, seconds: float | None, /) -> None:
        """Bound every later wait; None waits for ever."""
        self._connection.settimeout(seconds)

    def close(self) -> None:
        """End both directions; whoever waits in it is woken."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()


def local_state_dir(data_dir: Path) -> Path:
    """Return where the daemon of `local` keeps its state: one an interpreter.

    Its cells run in its own interpreter, so a notebook of another environment needs another.
    """
    interpreter = f"{sys.executable} {sys.prefix}".encode()
    return data_dir / "local" / hashlib.sha256(interpreter).hexdigest()[:12]


def connect_local(state_dir: Path) -> LocalPipe:
    """Connect to the daemon of a state directory.

    Raises
    ------
    SocketAbsent
        When none listens.
    """
    try:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    except OSError as exc:
        raise ConnectError(
            f"this process cannot open a socket ({exc.strerror}): close files, or allow more by"
            " `ulimit -n`"
        ) from exc
    try:
        directory = os.open(state_dir, os.O_RDONLY)
        try:
            # By descriptor where there is /proc: a socket's path may have 107 bytes only.
            by_descriptor = Path(f"/proc/self/fd/{directory}")
            parent = by_descriptor if by_descriptor.exists() else state_dir
            connection.connect(str(parent / "daemon.sock"))
        finally:
            os.close(directory)
    except OSError as exc:
        connection.close()
        raise SocketAbsent("no daemon runs on this machine") from exc
    return LocalPipe(connection)


def start_local(state_dir: Path, archive: Archive, environ: Mapping[str, str]) -> None:
    """Start a daemon and return when it listens.

    Raises
    ------
    ConnectError
        When it does not come up; the message holds its last words.
    """
    log = state_dir / "daemon.log"
    try:
        daemon = _spawn(_store(state_dir, archive), state_dir, archive.digest, environ)
    except OSError as exc:
        raise _unkept(state_dir, exc) from exc
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline_s:
        with contextlib.suppress(SocketAbsent):
            connect_local(state_dir).close()
            _forget(daemon)
            return
        if daemon.poll() not in (None, STATE_TAKEN):
            break
        time.sleep(0.01)
    try:
        said = log.read_text(errors="replace").strip().splitlines()
    except OSError as exc:
        raise _unkept(state_dir, exc) from exc
    raise ConnectError(
        f"the daemon of `local` does not start ({said[-1] if said else 'no word from it'});"
        f" its log is daemon.log in kernelext's data folder"
    )


def _spawn(
    code: Path, state_dir: Path, digest: str, environ: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-I", "-S", str(code), "daemon", "--engine", "process"]
    argv += ["--state", str(state_dir), "--code", digest]
    argv += ["--secrets", str(_secrets_dir(environ))]
    with (state_dir / "daemon.log").open("wb") as out:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd="/",
            # It outlives the notebook, whose variables may be secrets.
            env={key: environ[key] for key in KEPT_VARIABLES if key in environ},
            start_new_session=True,
        )


def _unkept(state_dir: Path, exc: OSError) -> ConnectError:
    return ConnectError(
        f"the daemon of `local` cannot keep its state in {state_dir} ({exc.strerror}): make room"
        " there and see that it can be written to, or name another folder by KERNELEXT_DATA"
    )


def _store(state_dir: Path, archive: Archive) -> Path:
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = state_dir / "code" / f"{archive.digest}.zip"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_bytes(archive.data)
        partial.replace(path)
    return path


def _forget(daemon: subprocess.Popen[bytes]) -> None:
    """Let the daemon outlive us without a warning that we did not wait for it."""
    daemon.returncode = daemon.returncode or 0


def _secrets_dir(environ: Mapping[str, str]) -> Path:
    """Return a folder in memory where the system has one."""
    runtime = environ.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_dir():
        return Path(runtime) / "kernelext"
    shared = Path("/dev/shm")  # noqa: S108
    parent = shared if shared.is_dir() else Path(tempfile.gettempdir())
    return parent / f"kernelext-{os.getuid()}"

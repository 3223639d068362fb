"""The daemon's command line: ``... daemon --state DIR --engine docker|process``."""

from __future__ import annotations

import argparse
import compileall
import contextlib
import fcntl
import io
import logging
import os
import sys
import time
import zipfile
from pathlib import Path
from typing import IO, Any

from kernelext.daemon.adopted import ProcessRecords
from kernelext.daemon.attempts import Attempts
from kernelext.daemon.blobs import BlobStore
from kernelext.daemon.capacity import Capacity
from kernelext.daemon.conductor import Conductor
from kernelext.daemon.docker_engine import DockerEngine
from kernelext.daemon.engine import Engine
from kernelext.daemon.imaging import Imaging
from kernelext.daemon.leftovers import clear_leftovers
from kernelext.daemon.process_engine import ProcessEngine
from kernelext.daemon.pulse import Pulse
from kernelext.daemon.queue import Queue
from kernelext.daemon.server import Server
from kernelext.daemon.service import Identity, Rooms, Service
from kernelext.daemon.statedir import StateDir
from kernelext.errors import DaemonError

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
STATE_TAKEN = 75  # EX_TEMPFAIL: another daemon holds the state directory
LOCK_TIMEOUT_S = 5.0


def main(argv: list[str]) -> int:
    """Run the daemon until nobody needs it; its exit code."""
    options = _options(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    state = StateDir(options.state)
    lock = state.lock.open("w")
    if not _take(lock):
        _engine(options, state, state.root).leave()
        return STATE_TAKEN
    code_dir = unpack_code(Path(sys.path[0]), state.root / "code", options.code)
    engine = _engine(options, state, code_dir)
    _run(options, state, engine)
    lock.close()
    engine.leave()
    return 0


def _take(lock: IO[str]) -> bool:
    """Take the lock; an earlier daemon that has been retired is about to let it go."""
    deadline_s = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > deadline_s:
                return False
            time.sleep(0.02)
        else:
            return True


def _options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("kernelext daemon")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--secrets", type=Path, required=True)
    parser.add_argument("--engine", choices=("docker", "process"), required=True)
    parser.add_argument("--code", required=True, help="digest of the code")
    parser.add_argument("--docker-socket", default="/var/run/docker.sock")
    parser.add_argument("--default-image", default="")
    parser.add_argument("--own-container", default="")
    parser.add_argument("--slots", type=int)
    parser.add_argument("--idle-s", type=float, default=600.0)
    return parser.parse_args(argv)


def _engine(options: argparse.Namespace, state: StateDir, code_dir: Path) -> Engine:
    if options.engine == "process":
        records = ProcessRecords(state.root / "processes")
        return ProcessEngine(code_dir=code_dir, poke_dir=state.poke, records=records)
    return DockerEngine(
        options.docker_socket,
        state_dir=state.root,
        code_dir=code_dir,
        default_image=options.default_image,
        own_container=options.own_container,
    )


def _run(options: argparse.Namespace, state: StateDir, engine: Engine) -> None:
    pulse = Pulse()
    try:
        attempts = Attempts(state, options.secrets, pulse)
    except DaemonError as exc:
        raise SystemExit(str(exc)) from exc  # the last line of the log, which the client shows
    attempts.load()
    blobs = BlobStore(state)
    identity = Identity(options.code, _boot_id())
    conductor = Conductor(state, attempts, blobs, engine, pulse, identity.boot_id)
    capacity = Capacity(*engine.capacity(), options.slots)
    queue = Queue(attempts, conductor, engine, pulse, capacity)
    server = Server(state, attempts, pulse, options.idle_s)
    imaging = Imaging(state, blobs, engine)
    rooms = Rooms(attempts, blobs, imaging, conductor, engine, queue, pulse, state)
    service = Service(identity, rooms, server.retire)
    clear_leftovers(state, attempts, engine, identity.code)
    engine.watch(pulse.beat)
    server.listen_pokes()
    queue.begin()
    group = None
    if options.engine == "docker":
        group = Path(options.docker_socket).stat().st_gid
    server.serve(service, group)


def unpack_code(archive: Path, target: Path, digest: str) -> Path:
    """Unpack our own modules for containers, compiled for this Python.

    A container of the same Python version starts some 18 ms earlier so.
    """
    directory = target / digest
    if not directory.exists():
        partial = target / f"{digest}.new.{os.getpid()}"
        with zipfile.ZipFile(archive) as members:
            members.extractall(partial)
        with contextlib.redirect_stdout(io.StringIO()):
            compileall.compile_dir(
                str(partial), quiet=2, stripdir=str(partial), invalidation_mode=_unchecked()
            )
        partial.rename(directory)
    return directory


def _unchecked() -> Any:
    import py_compile

    return py_compile.PycInvalidationMode.UNCHECKED_HASH


def _boot_id() -> str:
    return BOOT_ID.read_text().strip()

"""Listens for clients and pokes, until nobody needs the daemon any more."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from pathlib import Path

from kernelext.daemon.attempts import Attempts
from kernelext.daemon.pulse import Pulse
from kernelext.daemon.service import Service
from kernelext.daemon.session import Session
from kernelext.daemon.statedir import StateDir

LOOK_S = 1.0


def bind_beneath(
    path: Path, kind: socket.SocketKind, mode: int, group: int | None
) -> socket.socket:
    """Bind a Unix socket; by descriptor, since its path may have 107 bytes only."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    bound = socket.socket(socket.AF_UNIX, kind)
    try:
        bound.bind(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)
    if group is not None:
        os.chown(path, -1, group)
    path.chmod(mode)
    return bound


class Server:
    """The daemon's two sockets.

    Parameters
    ----------
    state : StateDir
    attempts : Attempts
    pulse : Pulse
    idle_s : float
        Without client and attempt for so long, it ends itself.
    """

    def __init__(self, state: StateDir, attempts: Attempts, pulse: Pulse, idle_s: float) -> None:
        self._state = state
        self._attempts = attempts
        self._pulse = pulse
        self._idle_s = idle_s
        self._clients = 0
        self._retired = False

    def retire(self) -> None:
        """End as soon as the present answers are sent; nobody new gets in."""
        self._retired = True
        self._state.socket.unlink(missing_ok=True)

    def listen_pokes(self) -> None:
        """Turn every datagram into a beat, in a thread."""
        path = self._state.poke / "daemon"
        pokes = bind_beneath(path, socket.SOCK_DGRAM, 0o666, None)

        def receive() -> None:
            while True:
                pokes.recv(64)
                self._pulse.beat()

        threading.Thread(target=receive, name="pokes", daemon=True).start()

    def serve(self, service: Service, group: int | None) -> None:
        """Serve clients until retired or idle."""
        listener = bind_beneath(self._state.socket, socket.SOCK_STREAM, 0o660, group)
        listener.listen(64)
        listener.settimeout(LOOK_S)
        used_s = time.monotonic()
        while not self._retired:
            if self._clients or self._attempts.living():
                used_s = time.monotonic()
            if time.monotonic() - used_s > self._idle_s:
                break
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError:  # Python 3.9 has its own timeout class
                continue
            threading.Thread(
                target=self._serve_client, args=(connection, service), daemon=True
            ).start()
        self._state.socket.unlink(missing_ok=True)
        listener.close()

    def _serve_client(self, connection: socket.socket, service: Service) -> None:
        connection.setblocking(True)
        with self._pulse:
            self._clients += 1
        try:
            Session(connection, service).serve()
        finally:
            with self._pulse:
                self._clients -= 1

"""Connects standard input and output with the daemon's socket.

For hosts whose administrator forbids socket forwarding: ``docker exec -i ... connect``.
"""

from __future__ import annotations

import os
import socket
import threading

PIECE_BYTES = 256 * 1024


def relay(path: str) -> int:
    """Copy both ways until either side ends; an exit code."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(path)
    os.write(1, b"\n")  # tells the client that it is through

    def upward() -> None:
        while True:
            data = os.read(0, PIECE_BYTES)
            if not data:
                connection.shutdown(socket.SHUT_RDWR)
                return
            connection.sendall(data)

    threading.Thread(target=upward, daemon=True).start()
    while True:
        data = connection.recv(PIECE_BYTES)
        if not data:
            return 0
        view = memoryview(data)
        while view:
            view = view[os.write(1, view) :]


def main(argv: list[str]) -> int:
    """Relay to the socket named."""
    return relay(argv[0])

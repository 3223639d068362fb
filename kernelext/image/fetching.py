"""Fetches a file from an address, and lets go of it at once when the user wants it to stop."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

TIMEOUT_S = 30.0  # for an answer, and for any byte after it
PIECE_BYTES = 64 * 1024


class Stopped(Exception):
    """Nobody waits for the file any more."""


def fetch_file(
    address: str,
    target: Path,
    stop: threading.Event,
    login: tuple[str, str] | None = None,
) -> str:
    """Write what an address has to a file; its SHA-256.

    Parameters
    ----------
    address : str
    target : Path
        Removed by whoever sets `stop`.
    stop : Event
        Looked at with every piece.
    login : tuple of str, optional
        A name and a password.

    Raises
    ------
    OSError
        It cannot be fetched: the library's errors are such, too.
    Stopped
    """
    import requests  # a tenth of a second, which only a fetch has to wait

    digest = hashlib.sha256()
    with requests.get(address, auth=login, stream=True, timeout=TIMEOUT_S) as answer:
        answer.raise_for_status()
        if stop.is_set():
            raise Stopped
        with target.open("wb") as out:
            for piece in answer.iter_content(PIECE_BYTES):
                if stop.is_set():
                    raise Stopped
                digest.update(piece)
                out.write(piece)
    return digest.hexdigest()

"""A file that is being fetched is let go of."""

from __future__ import annotations

import http.server
import threading
from pathlib import Path

import pytest

from kernelext.image.fetching import PIECE_BYTES, Stopped, fetch_file


def test_fetch_ends_when_nobody_waits_for_it(tmp_path: Path) -> None:
    """In a notebook the program goes on, and the thread with it."""
    stop, is_over = threading.Event(), threading.Event()

    class Slow(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(3 * PIECE_BYTES))
            self.end_headers()
            self.wfile.write(bytes(PIECE_BYTES))
            stop.set()  # the user has meanwhile interrupted
            self.wfile.write(bytes(PIECE_BYTES))
            is_over.wait(20)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            address = f"http://127.0.0.1:{server.server_address[1]}/own.whl"
            with pytest.raises(Stopped):
                fetch_file(address, tmp_path / "own.whl", stop)
        finally:
            is_over.set()
            server.shutdown()

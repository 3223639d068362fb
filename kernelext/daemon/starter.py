"""Starts a container in a thread."""

from __future__ import annotations

import threading

from kernelext.daemon.engine import Engine
from kernelext.errors import KernelExtError


class Starter:
    """Starts a container beside the placing of its files."""

    def __init__(self, engine: Engine, container: str) -> None:
        self._error: KernelExtError | None = None
        self._thread = threading.Thread(target=self._start, args=(engine, container))
        self._thread.start()

    def _start(self, engine: Engine, container: str) -> None:
        try:
            engine.start(container)
        except KernelExtError as exc:
            self._error = exc

    def join(self) -> None:
        """Wait until it runs; raises what kept it from that."""
        self._thread.join()
        if self._error is not None:
            raise self._error

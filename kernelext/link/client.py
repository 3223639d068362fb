"""The daemon's protocol over one pipe: requests with answers, and what the daemon pushes.

One thread reads; it never sends, so that a line that is full cannot stop it. Waits have no
end of their own here: a `Watchdog` ends the connection of a silent host.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

from kernelext import errors
from kernelext.errors import DaemonError, KernelExtError, LinkLost, ProtocolError
from kernelext.link.pipe import Pipe
from kernelext.wire import Frame, FrameDecoder, Header, encode_prefix

READ_BYTES = 1024 * 1024
ANSWER_TIMEOUT_S = 60.0

Push = Callable[[Header, bytes], None]

log = logging.getLogger(__name__)


class DaemonClient:
    """One connection to a daemon.

    Parameters
    ----------
    host : str
        For messages.
    pipe : Pipe
    on_push : callable
        Takes what the daemon sends unasked, in the reader's thread.
    on_lost : callable
        Called once when the connection has ended.
    """

    def __init__(self, host: str, pipe: Pipe, on_push: Push, on_lost: Callable[[], None]) -> None:
        self._host = host
        self._pipe = pipe
        self._on_push = on_push
        self._on_lost = on_lost
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Future[Frame]] = {}
        self._lock = threading.Lock()
        self._send_lock = threading.Lock()
        self._is_open = True
        self.sent_bytes = 0
        self.received_bytes = 0
        pipe.settimeout(None)
        self._reader = threading.Thread(target=self._read, name=f"link-{host}", daemon=True)
        self._reader.start()

    @property
    def is_open(self) -> bool:
        """Whether the connection stands, as far as is known."""
        return self._is_open

    @property
    def is_waiting(self) -> bool:
        """Whether an answer is due."""
        return bool(self._waiting)

    def send(self, header: Header, body: bytes | memoryview = b"") -> Future[Frame]:
        """Send a request without waiting for its answer.

        Raises
        ------
        LinkLost
            When the connection has ended.
        """
        number = next(self._numbers)
        prefix = encode_prefix({**header, "id": number}, len(body))
        answer: Future[Frame] = Future()
        with self._lock:
            if not self._is_open:
                raise self._lost()
            self._waiting[number] = answer
        try:
            with self._send_lock:
                if len(body) < READ_BYTES:
                    self._send_all(prefix + bytes(body))
                else:
                    self._send_all(prefix)
                    self._send_all(body)
        except (OSError, KernelExtError) as exc:
            self.close()
            raise self._lost() from exc
        return answer

    def request(
        self,
        header: Header,
        body: bytes | memoryview = b"",
        timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> Frame:
        """Send a request and wait for its answer.

        Raises
        ------
        LinkLost
            The connection ended, or no answer came in time.
        KernelExtError
            What the daemon says went wrong, in its own class.
        """
        return self.result(self.send(header, body), timeout_s)

    def result(self, answer: Future[Frame], timeout_s: float = ANSWER_TIMEOUT_S) -> Frame:
        """Wait for an answer and raise the daemon's error, if it is one."""
        try:
            header, body = answer.result(timeout_s)
        except FutureTimeout as exc:
            raise LinkLost(
                f"the daemon of {self._host} did not answer within {timeout_s:g} s"
            ) from exc
        if "error" in header:
            raise _error_class(str(header.get("kind")))(str(header["error"]))
        return header, body

    def close(self) -> None:
        """End the connection; every waiter gets `LinkLost`."""
        with self._lock:
            if not self._is_open:
                return
            self._is_open = False
            waiting = list(self._waiting.values())
            self._waiting.clear()
        with contextlib.suppress(OSError, KernelExtError):
            self._pipe.close()
        for answer in waiting:
            answer.set_exception(self._lost())
        self._on_lost()

    def _lost(self) -> LinkLost:
        return LinkLost(f"the connection to {self._host} is lost")

    def _send_all(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            piece = view[:READ_BYTES]
            self._pipe.sendall(piece)
            self.sent_bytes += len(piece)
            view = view[len(piece) :]

    def _read(self) -> None:
        decoder = FrameDecoder()
        try:
            while self._is_open:
                data = self._pipe.recv(READ_BYTES)
                if not data:
                    break
                self.received_bytes += len(data)
                for header, body in decoder.feed(data):
                    self._take(header, body)
        except (OSError, KernelExtError, LookupError, TypeError, ValueError) as exc:
            log.debug("link.ended host=%s reason=%s", self._host, exc)
        finally:
            self.close()

    def _take(self, header: Header, body: bytes) -> None:
        if "push" in header:
            self._on_push(header, body)
            return
        number = header.get("id")
        with self._lock:
            answer = self._waiting.pop(number, None) if isinstance(number, int) else None
        if answer is None:
            raise ProtocolError(f"the daemon of {self._host} answers what was not asked")
        answer.set_result((header, body))


def _error_class(name: str) -> type[KernelExtError]:
    found = getattr(errors, name, None)
    if isinstance(found, type) and issubclass(found, KernelExtError):
        plain = found.__init__ is KernelExtError.__init__
        return found if plain else DaemonError
    return DaemonError

"""Sees the frames that pass between this process and the daemons, without touching them."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from kernelext.link.client import DaemonClient
from kernelext.wire import Header, encode_prefix


@dataclass
class SeenFrame:
    """A frame that was sent or has arrived.

    Attributes
    ----------
    at : float
        Seconds since 1970: before it is sent, after it has arrived.
    direction : str
        ``sent`` or ``received``.
    kind : str
        The request's name, ``answer to`` it, or ``push`` and what is pushed.
    size_bytes : int
        Lengths, header and body, without SSH and TCP.
    """

    at: float
    direction: str
    kind: str
    size_bytes: int
    header: Header
    body: bytes


class Tap:
    """Collects frames while it is entered; read them after that."""

    def __init__(self) -> None:
        self.frames: list[SeenFrame] = []
        self._answers: list[tuple[SeenFrame, Future[Any]]] = []
        self._asked: dict[Future[Any], str] = {}
        self._undo: Callable[[], None] = lambda: None

    def __enter__(self) -> Tap:
        """Wrap the two methods of the client that every frame passes."""
        send, take = DaemonClient.send, DaemonClient._take

        def seeing_send(
            client: DaemonClient, header: Header, body: bytes | memoryview = b""
        ) -> Future[Any]:
            kind = str(header["op"])
            # The number that the client adds has as many digits as this one, nearly always.
            self._see("sent", kind, {**header, "id": 10}, bytes(body))
            answer = send(client, header, body)
            self._asked[answer] = kind
            return answer

        def seeing_take(client: DaemonClient, header: Header, body: bytes) -> None:
            frame = self._see("received", f"push {header.get('push')}", header, body)
            answer = client._waiting.get(header.get("id", 0))
            if answer is not None:
                self._answers.append((frame, answer))
            take(client, header, body)

        def undo() -> None:
            _use(send, take)

        _use(seeing_send, seeing_take)
        self._undo = undo
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the client as it was, and name the answers by what was asked."""
        self._undo()
        for frame, answer in self._answers:
            frame.kind = f"answer to {self._asked.get(answer, 'an earlier request')}"

    def _see(self, direction: str, kind: str, header: Header, body: bytes) -> SeenFrame:
        size_bytes = len(encode_prefix(header, len(body))) + len(body)
        frame = SeenFrame(time.time(), direction, kind, size_bytes, header, body)
        self.frames.append(frame)
        return frame

    def first(self, kind: str) -> SeenFrame:
        """Return the first frame of a kind."""
        return next(frame for frame in self.frames if frame.kind == kind)

    def sizes(self) -> dict[tuple[str, str], int]:
        """Sum the bytes by direction and kind."""
        found: dict[tuple[str, str], int] = {}
        for frame in self.frames:
            key = frame.direction, frame.kind
            found[key] = found.get(key, 0) + frame.size_bytes
        return found


def _use(send: Callable[..., Any], take: Callable[..., Any]) -> None:
    client: Any = DaemonClient
    client.send, client._take = send, take

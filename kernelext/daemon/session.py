"""One client's connection: a reader that answers, a writer that follows journals."""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import threading
import time
from dataclasses import dataclass

from kernelext.daemon.attempts import Attempt
from kernelext.daemon.service import Service
from kernelext.errors import DaemonError, DiskFull, KernelExtError, ProtocolError
from kernelext.models import AttemptId, to_json
from kernelext.wire import FrameDecoder, Header, encode_frame, encode_prefix

log = logging.getLogger(__name__)

PIECE_BYTES = 256 * 1024
LOOK_S = 0.25
NONSENSE = (AttributeError, LookupError, TypeError, ValueError, ArithmeticError, RecursionError)
BEAT_S = 3.0  # a client that hears nothing for longer begins to count


@dataclass
class Follow:
    """A client's place in one journal."""

    attempt: Attempt
    offset: int
    told: str = ""  # the last state sent


class Session:
    """Serves one client until it leaves."""

    def __init__(self, connection: socket.socket, service: Service) -> None:
        self._connection = connection
        self._service = service
        self._send_lock = threading.Lock()
        self._follows: dict[AttemptId, Follow] = {}
        self._heard: list[Attempt] = []
        self._is_open = True
        self._sent_s = time.monotonic()

    def serve(self) -> None:
        """Read requests and answer each, in order."""
        writer = threading.Thread(target=self._push, name="writer", daemon=True)
        writer.start()
        decoder = FrameDecoder()
        try:
            while True:
                data = self._connection.recv(1024 * 1024)
                if not data:
                    break
                for header, body in decoder.feed(data):
                    self._answer(header, body)
        except (OSError, ProtocolError) as exc:
            log.info("client.gone reason=%s", exc)
        self._is_open = False
        for attempt in self._heard:
            attempt.listeners.discard(id(self))
        self._service.pulse.beat()
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        writer.join()
        self._connection.close()

    def _answer(self, header: Header, body: bytes) -> None:
        answer: Header = {"id": header.get("id")}
        data = b""
        try:
            if header.get("op") in ("follow", "unfollow"):
                self._follow(header)
            else:
                found, data = self._service.answer(header, body)
                answer.update(found)
                if header.get("op") == "submit" and header.get("follow") and not found["missing"]:
                    self._follow_submitted(header)
        except KernelExtError as exc:
            answer.update(error=str(exc), kind=_kind(exc))
        except NONSENSE as exc:
            answer.update(error=f"a request that makes no sense: {exc!r}", kind="ProtocolError")
        except OSError as exc:
            is_full = exc.errno in (errno.ENOSPC, errno.EDQUOT)
            kind = DiskFull if is_full else DaemonError
            answer.update(error=f"the host's disk: {exc}", kind=kind.__name__)
        self._send(answer, data)

    def _send(self, header: Header, body: bytes = b"") -> None:
        with self._send_lock:
            self._sent_s = time.monotonic()
            if len(body) > PIECE_BYTES:
                self._connection.sendall(encode_prefix(header, len(body)))
                self._connection.sendall(body)
            else:
                self._connection.sendall(encode_frame(header, body))

    def _follow(self, header: Header) -> None:
        attempt_id = AttemptId.from_json(header["attempt"])
        if header["op"] == "unfollow":
            self._follows.pop(attempt_id, None)
            return
        attempt = self._service.open_journal(attempt_id)
        offset = int(header["offset"])
        if not 0 <= offset < 2**63:
            raise ProtocolError(f"a journal has no place {offset}")
        self._follows[attempt_id] = Follow(attempt, offset)
        attempt.listeners.add(id(self))
        self._heard.append(attempt)
        self._service.pulse.beat()

    def _follow_submitted(self, header: Header) -> None:
        """Spare the client a request, and the cell a round trip."""
        for task in header["tasks"]:
            attempt = {**task, "run": header["spec"]["run"]}
            self._follow({"op": "follow", "attempt": attempt, "offset": 0})

    # pushing

    def _push(self) -> None:
        pulse = self._service.pulse
        with contextlib.suppress(OSError):
            while self._is_open:
                seen = pulse.count
                if not self._push_all():
                    pulse.wait(seen, LOOK_S)
                if time.monotonic() - self._sent_s > BEAT_S:
                    self._send({"push": "alive"})
        with contextlib.suppress(OSError):  # a client that cannot be told anything has to know
            self._connection.shutdown(socket.SHUT_RDWR)

    def _push_all(self) -> bool:
        """Send one piece of every journal that has grown; whether there was any."""
        moved = False
        for attempt_id, follow in list(self._follows.items()):
            moved = self._push_state(follow) or moved
            moved = self._push_journal(follow) or moved
            ended = follow.attempt.record.end
            if ended is not None and follow.offset >= follow.attempt.journal_size():
                if self._follows.get(attempt_id) is follow:
                    del self._follows[attempt_id]
                self._send(
                    {
                        "push": "end",
                        "attempt": to_json(attempt_id),
                        "end": to_json(ended),
                        "image_digest": follow.attempt.record.image_digest,
                    },
                    follow.attempt.changes,
                )
        return moved

    def _push_state(self, follow: Follow) -> bool:
        state = follow.attempt.state
        if state.is_final or state.value == follow.told:
            return False
        follow.told = state.value
        self._send({"push": "state", "attempt": to_json(follow.attempt.id), "state": state.value})
        return True

    def _push_journal(self, follow: Follow) -> bool:
        attempt = follow.attempt
        data = attempt.read_journal(follow.offset, PIECE_BYTES)
        if not data:
            return False
        header = {"push": "journal", "attempt": to_json(attempt.id), "offset": follow.offset}
        self._send(header, data)
        follow.offset += len(data)
        return True


def _kind(error: KernelExtError) -> str:
    """Name an error's class as the client knows it: one of the daemon's own by what it is of."""
    known = KernelExtError.__module__
    return next(each.__name__ for each in type(error).__mro__ if each.__module__ == known)

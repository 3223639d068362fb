"""Frames: a JSON header and a body of bytes, the same on sockets and in journals.

A frame is two big-endian 32-bit lengths, the header as UTF-8 JSON (an object), the body.
This module only packs and unpacks; it reads and writes nothing.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

from kernelext.errors import ProtocolError

LENGTHS = struct.Struct(">II")
MAX_HEADER_BYTES = 16 * 1024 * 1024
MAX_BODY_BYTES = 64 * 1024 * 1024

Header = dict[str, Any]
Frame = tuple[Header, bytes]


def encode_prefix(header: Header, body_size: int) -> bytes:
    """Pack all of a frame that comes before its body.

    Raises
    ------
    ProtocolError
        When header or body is too large for a frame.
    """
    text = json.dumps(header, separators=(",", ":")).encode()
    if len(text) > MAX_HEADER_BYTES or body_size > MAX_BODY_BYTES:
        raise ProtocolError(f"a frame of {len(text)} + {body_size} bytes is too large to send")
    return LENGTHS.pack(len(text), body_size) + text


def encode_frame(header: Header, body: bytes = b"") -> bytes:
    """Pack a frame.

    Examples
    --------
    >>> encode_frame({"op": "ping"}, b"x")
    b'\\x00\\x00\\x00\\r\\x00\\x00\\x00\\x01{"op":"ping"}x'
    """
    return encode_prefix(header, len(body)) + body


class FrameDecoder:
    """Cuts a stream of bytes, fed in pieces of any size, into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.consumed_bytes = 0

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take `data` and yield every frame that is now whole.

        Raises
        ------
        ProtocolError
            When the bytes cannot be frames; the stream is then of no more use.
        """
        self._buffer += data
        while True:
            size = self._whole_size()
            if size is None:
                return
            head_size, body_size = LENGTHS.unpack_from(self._buffer)
            start = LENGTHS.size
            view = memoryview(self._buffer)
            try:
                header = json.loads(bytes(view[start : start + head_size]))
                body = bytes(view[start + head_size : start + head_size + body_size])
            except (ValueError, RecursionError) as exc:  # not JSON, or brackets without end
                raise ProtocolError("a frame's header is not JSON") from exc
            finally:
                view.release()
            if not isinstance(header, dict):
                raise ProtocolError("a frame's header is not an object")
            del self._buffer[:size]
            self.consumed_bytes += size
            yield header, body

    def _whole_size(self) -> int | None:
        if len(self._buffer) < LENGTHS.size:
            return None
        head_size, body_size = LENGTHS.unpack_from(self._buffer)
        if head_size > MAX_HEADER_BYTES or body_size > MAX_BODY_BYTES:
            raise ProtocolError(f"a frame of {head_size} + {body_size} bytes cannot be")
        size = LENGTHS.size + head_size + body_size
        return size if len(self._buffer) >= size else None

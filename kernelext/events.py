"""What a run says, one event after the other, numbered from 1 within an attempt.

An event is a frame: ``{"n": number, "kind": kind, "at": seconds since 1970, ...}`` and a body.

==============  =========================================================================
kind            header fields; body
==============  =========================================================================
journal         version, run, fold, attempt (number 0, the first frame of every journal)
state           state
stream          name (``stdout``, ``stderr``); the bytes, which may end inside a character
display         body: JSON {data, metadata, display_id?}, Jupyter's MIME bundle
update_display  the same
clear_output    wait
result          body: JSON {data, metadata}
error           body: JSON {ename, evalue, traceback, lineage}
progress        done, total, metrics
value           ref (a `ValueRef`), or name and left (why it stays); body: the joined chunks
                when they are small, else empty and the chunks lie in the attempt's values/
changed         names: inputs that the cell changed and that stay on the host
deleted         names: inputs that the cell deleted, and that are to go at home too
finished        ok: the cell's process has said all that it has to say
exit            an `AttemptEnd`; nothing follows
==============  =========================================================================
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

from kernelext.wire import Header


@dataclass(frozen=True)
class Event:
    """One event of an attempt."""

    number: int
    kind: str
    header: Header
    body: bytes = b""

    @classmethod
    def from_frame(cls, header: Header, body: bytes) -> Event:
        """Read a journal's frame; what is missing counts as number 0 and kind ''."""
        number = header.get("n", 0)
        if not isinstance(number, int):
            number = 0
        return cls(number, str(header.get("kind", "")), header, body)

    def content(self) -> dict[str, Any]:
        """Read a JSON body; anything but an object counts as empty."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


def json_body(content: dict[str, Any]) -> bytes:
    """Pack the content of a display, result or error event; bytes become base64, as in Jupyter."""
    return json.dumps(content, separators=(",", ":"), default=_plain).encode()


def _plain(value: object) -> object:
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode("ascii")
    if hasattr(value, "item"):  # a number of numpy's
        return value.item()
    return str(value)

"""Brings a cell's results out of its namespace: bound names, and inputs that it changed."""

from __future__ import annotations

import contextlib
import types
from pathlib import Path
from typing import Any

from kernelext.errors import ValueCodecError
from kernelext.models import INLINE_LIMIT_BYTES, VALUES_DIR, RunSpec, ValueRef, to_json
from kernelext.runner.channel import EventChannel
from kernelext.values import Encoded, encode, identity, is_immutable

STAR = "*"


class Results:
    """Knows the inputs as they were, and sends what is to come home.

    Parameters
    ----------
    spec : RunSpec
    namespace : dict
        The cell's.
    channel : EventChannel
    work : Path
        The work directory.
    """

    def __init__(
        self, spec: RunSpec, namespace: dict[str, Any], channel: EventChannel, work: Path
    ) -> None:
        self._spec = spec
        self._namespace = namespace
        self._channel = channel
        self._values = work / VALUES_DIR
        self._before: dict[str, str] = {}
        self._at_start = set(namespace)

    def note_input(self, ref: ValueRef) -> None:
        """Remember what an input is before the cell has run."""
        value = self._namespace[ref.name]
        if is_immutable(value) or isinstance(value, (type, types.FunctionType)):
            return  # code: its pickle is not the same twice, and cells use it, not change it
        known = ref.identity
        if ref.codec == "pickle":  # the same object pickles differently on the two sides
            with contextlib.suppress(ValueCodecError):
                known = identity(ref.name, value, self._namespace)
        self._before[ref.name] = known

    def begin(self) -> None:
        """Remember which names there are before the cell runs."""
        self._at_start = set(self._namespace)

    def send(self) -> None:
        """Send every result as an event, large ones by files."""
        for name in self._outputs():
            if name in self._namespace:
                self._send_value(name)
        changed = [name for name in self._before if self._has_changed(name)]
        if self._spec.compare:
            for name in changed:
                self._send_value(name)
        elif changed:
            self._channel.emit("changed", {"names": changed})

    def _outputs(self) -> list[str]:
        """List the names to send; ``*`` stands for what a star import has bound."""
        names = [name for name in self._spec.outputs if name != STAR]
        if STAR in self._spec.outputs:
            new = self._namespace.keys() - self._at_start - set(names)
            names += sorted(name for name in new if not name.startswith("_"))
        return names

    def _has_changed(self, name: str) -> bool:
        if name in self._spec.outputs or name not in self._namespace:
            return False
        try:
            found: str = identity(name, self._namespace[name], self._namespace)
        except ValueCodecError:
            return True
        return found != self._before[name]

    def _send_value(self, name: str) -> None:
        try:
            encoded = encode(name, self._namespace[name], self._namespace)
        except ValueCodecError as error:
            self._channel.emit("value", {"name": name, "left": str(error)})
            return
        body = b""
        if encoded.ref.stored_bytes <= INLINE_LIMIT_BYTES:
            body = b"".join(encoded.parts)
        else:
            self._store(encoded)
        self._channel.emit("value", {"ref": to_json(encoded.ref)}, body)

    def _store(self, encoded: Encoded) -> None:
        self._values.mkdir(exist_ok=True)
        paths = [self._values / chunk.digest for chunk in encoded.ref.chunks]
        try:
            for path, part in zip(paths, encoded.parts):
                path.write_bytes(part)
        except OSError as exc:
            for path in paths:  # the journal needs some room
                path.unlink(missing_ok=True)
            ref = encoded.ref
            raise OSError(
                exc.errno,
                f"The host cannot keep {ref.name} ({ref.stored_bytes / 1e6:.0f} MB) until it is"
                f" fetched ({exc.strerror}); make room there, or leave it out by --out",
            ) from exc

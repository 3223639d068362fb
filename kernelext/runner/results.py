"""Brings a cell's results out of its namespace: bound names, and inputs that it changed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from kernelext.errors import ValueCodecError
from kernelext.models import INLINE_LIMIT_BYTES, VALUES_DIR, RunSpec, ValueRef, to_json
from kernelext.runner.channel import EventChannel
from kernelext.runner.watched import WatchedInputs
from kernelext.values import Encoded, encode, encode_group, in_groups, same_object

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
        self._inputs = WatchedInputs(namespace)
        self._at_start = set(namespace)

    def note_input(self, ref: ValueRef) -> None:
        """Remember what an input is before the cell has run."""
        self._inputs.note(ref)

    def begin(self) -> None:
        """Remember which names there are before the cell runs."""
        self._at_start = set(self._namespace)

    def send(self) -> None:
        """Send every result as an event, large ones by files."""
        outputs = [name for name in self._outputs() if name in self._namespace]
        changed = [name for name in self._inputs.changed() if name not in outputs]
        if self._spec.compare:
            # The changed ones come first: what is bound to their objects refers to them.
            self._send_values([*changed, *self._sharing([*changed, *outputs]), *outputs])
            gone = self._inputs.deleted()
            if gone:
                self._channel.emit("deleted", {"names": gone})
            return
        self._send_values(outputs)
        if changed:
            self._channel.emit("changed", {"names": changed})

    def _outputs(self) -> list[str]:
        """List the names to send; ``*`` stands for every new one."""
        names = [name for name in self._spec.outputs if name != STAR]
        if STAR in self._spec.outputs:
            new = self._namespace.keys() - self._at_start - set(names)
            names += sorted(name for name in new if not name.startswith("_"))
        return names

    def _sharing(self, sent: list[str]) -> list[str]:
        """List the unchanged inputs that share objects with results: they stay together."""
        names = self._namespace
        unsent = {name: names[name] for name in self._inputs.names() if name in names}
        for name in sent:
            unsent.pop(name, None)
        kept = {id(value) for value in unsent.values()}
        fresh = {name: names[name] for name in sent if id(names[name]) not in kept}
        groups = in_groups({**fresh, **unsent})
        joined = [group for group in groups if not fresh.keys().isdisjoint(group)]
        return [name for group in joined for name in group if name in unsent]

    def _send_values(self, names: list[str]) -> None:
        values = {name: self._namespace[name] for name in names}
        abilities = self._spec.abilities or None
        for group in in_groups(values):
            try:
                encoded = encode_group(group, values, self._namespace, abilities=abilities)
            except ValueCodecError:
                for name in group:
                    self._send_alone(name)
            else:
                for each in encoded:
                    self._emit(each, names)

    def _send_alone(self, name: str) -> None:
        try:
            abilities = self._spec.abilities or None
            value = self._namespace[name]
            encoded = encode(name, value, self._namespace, abilities=abilities)
        except ValueCodecError as error:
            self._channel.emit("value", {"name": name, "left": str(error)})
            return
        self._emit(encoded, [name])

    def _emit(self, encoded: Encoded, sent: list[str]) -> None:
        ref = encoded.ref
        if not ref.same_as:
            ref = dataclasses.replace(ref, same_as=self._same_as(ref.name, sent))
        body = b""
        if ref.stored_bytes <= INLINE_LIMIT_BYTES:
            body = b"".join(encoded.parts)
        else:
            self._store(encoded)
        self._channel.emit("value", {"ref": to_json(ref)}, body)

    def _same_as(self, name: str, sent: list[str]) -> str:
        """Name the notebook's variable that a result is: itself, or an unchanged input."""
        value = self._namespace[name]
        if self._inputs.is_same(name):
            return same_object(value, [name], self._namespace)
        unsent = [other for other in self._inputs.names() if other not in sent]
        return same_object(value, unsent, self._namespace)

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

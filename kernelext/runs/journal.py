"""Reads journals at home, and keeps account of the results that they name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from kernelext.errors import ProtocolError
from kernelext.events import Event
from kernelext.models import JOURNAL_NAME, AttemptEnd, ValueRef
from kernelext.runs.results import StoredValue
from kernelext.wire import FrameDecoder

VALUES_NAME = "values"
PIECE_BYTES = 1024 * 1024


def read_journal(path: Path) -> Iterator[Event]:
    """Read a journal at home; what is torn at its end is left out."""
    decoder = FrameDecoder()
    if not path.exists():
        return
    with path.open("rb") as file:
        try:
            while data := file.read(PIECE_BYTES):
                for header, body in decoder.feed(data):
                    yield Event.from_frame(header, body)
        except ProtocolError:
            return


class Account:
    """What the events of an attempt say of its results and its end.

    Attributes
    ----------
    directory : Path
        The attempt's, at home.
    left : dict of str to str
        Results that cannot travel, and why.
    changed : tuple of str
        Inputs that the cell changed and that stay on the host.
    deleted : tuple of str
        Names that the cell deleted.
    failure : dict
        Content of the error event.
    end : AttemptEnd or None
        As the journal has it: None where it ends before.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.left: dict[str, str] = {}
        self.changed: tuple[str, ...] = ()
        self.deleted: tuple[str, ...] = ()
        self.failure: dict[str, object] = {}
        self.end: AttemptEnd | None = None
        self._values: dict[str, ValueRef] = {}
        self._inline: dict[str, bytes] = {}

    def note(self, event: Event) -> None:
        """Take one event."""
        if event.kind == "value" and "ref" in event.header:
            ref = ValueRef.from_json(event.header["ref"])
            self._values[ref.name] = ref
            self._inline[ref.name] = event.body
        elif event.kind == "value":
            self.left[str(event.header["name"])] = str(event.header["left"])
        elif event.kind == "changed":
            self.changed = tuple(str(name) for name in event.header["names"])
        elif event.kind == "deleted":
            self.deleted = tuple(str(name) for name in event.header["names"])
        elif event.kind == "error":
            self.failure = event.content()
        elif event.kind == "exit":
            with contextlib.suppress(KeyError, ValueError, TypeError):
                self.end = AttemptEnd.from_json(event.header)

    @property
    def names(self) -> tuple[str, ...]:
        """The results that can travel, at home or not."""
        return tuple(self._values)

    def large_values(self) -> list[ValueRef]:
        """List the results whose bytes are not in the journal."""
        return [
            ref for name, ref in self._values.items() if ref.stored_bytes != len(self._inline[name])
        ]

    def absent_values(self) -> list[ValueRef]:
        """List the results whose bytes are not at home."""
        return [ref for ref in self.large_values() if not self.value_path(ref).exists()]

    def value_path(self, ref: ValueRef) -> Path:
        """Return where a fetched result lies at home."""
        return self.directory / VALUES_NAME / ref.file_name

    def values(self) -> dict[str, StoredValue]:
        """Return the results that are at home."""
        absent = {ref.name for ref in self.absent_values()}
        found: dict[str, StoredValue] = {}
        for name, ref in self._values.items():
            if name not in absent:
                path = self.value_path(ref)
                found[name] = StoredValue(ref, path if path.exists() else self._inline[name])
        return found


def read_account(directory: Path) -> Account:
    """Read what an attempt's directory at home has of it; empty where there is none."""
    account = Account(directory)
    for event in read_journal(directory / JOURNAL_NAME):
        account.note(event)
    return account

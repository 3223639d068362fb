"""A journal is read as it grows, and not believed when it shrinks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernelext.daemon.supervision import JournalReader
from kernelext.errors import DaemonError
from kernelext.models import AttemptEnd, EndCause, RunState, to_json
from kernelext.wire import encode_frame


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "journal", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


def test_end_is_found_when_it_is_whole(journal: int) -> None:
    end = AttemptEnd(RunState.FAILED, EndCause.TIMEOUT)
    frame = encode_frame({"n": 1, "kind": "exit", **to_json(end)})
    reader = JournalReader(journal)
    for byte in (frame[:5], frame[5:-1]):
        os.write(journal, byte)
        reader.advance()
        assert reader.end is None
    os.write(journal, frame[-1:])
    reader.advance()
    assert reader.end == end


@pytest.mark.parametrize("damage", [b"\xff" * 8, b"\0\0\0\2\0\0\0\0[]"])
def test_damage_is_said(journal: int, damage: bytes) -> None:
    os.write(journal, damage)
    with pytest.raises(DaemonError, match="damaged"):
        JournalReader(journal).advance()


def test_truncation_is_said(journal: int) -> None:
    os.write(journal, encode_frame({"n": 1, "kind": "stream"}, b"text"))
    reader = JournalReader(journal)
    reader.advance()
    os.ftruncate(journal, 3)
    with pytest.raises(DaemonError, match="truncated"):
        reader.advance()


def test_end_that_makes_no_sense_is_no_end(journal: int) -> None:
    os.write(journal, encode_frame({"n": 1, "kind": "exit", "state": "wonderful"}))
    reader = JournalReader(journal)
    reader.advance()
    assert reader.end is None

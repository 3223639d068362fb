"""The journal at home: the same bytes once, whatever connections bring."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernelext.errors import ProtocolError
from kernelext.events import Event
from kernelext.models import AttemptEnd, AttemptId, RunState, to_json
from kernelext.runs.follower import Follower
from kernelext.wire import Header, encode_frame

ATTEMPT = AttemptId("run", "0", 1)


class Told:
    """What a follower has told."""

    def __init__(self, directory: Path) -> None:
        self.events: list[Event] = []
        self.states: list[RunState] = []
        self.ends: list[AttemptEnd] = []
        self.failures: list[Exception] = []
        self.follower = Follower(
            ATTEMPT,
            directory,
            on_event=self.events.append,
            on_state=self.states.append,
            on_end=lambda end, _: self.ends.append(end),
            on_failure=self.failures.append,
        )

    def push(self, word: str, body: bytes = b"", **header: object) -> None:
        """Have it take a push."""
        push: Header = {"push": word, "attempt": to_json(ATTEMPT), **header}
        self.follower.take(push, body)


@pytest.fixture
def told(tmp_path: Path) -> Told:
    """A follower and what it tells."""
    return Told(tmp_path / "attempt")


def journal(count: int) -> bytes:
    """Lines 1 to `count` as a supervisor writes them."""
    frames = [encode_frame({"kind": "journal", "version": 1})]
    frames += [
        encode_frame({"kind": "stream", "n": n, "at": 0.0, "name": "stdout"}, b"line %d\n" % n)
        for n in range(1, count + 1)
    ]
    return b"".join(frames)


def test_pieces_that_overlap_are_taken_once(told: Told, tmp_path: Path) -> None:
    data = journal(9)
    for start, end in [(0, 100), (0, 150), (50, 120), (150, len(data)), (0, len(data))]:
        told.push("journal", data[start:end], offset=start)
    assert (tmp_path / "attempt" / "journal").read_bytes() == data
    assert [event.number for event in told.events] == list(range(1, 10))
    assert told.failures == []


def test_gap_fails_once_and_ends_the_following(told: Told) -> None:
    data = journal(3)
    told.push("journal", data[10:], offset=10)
    told.push("journal", data, offset=0)
    assert [type(exc) for exc in told.failures] == [ProtocolError]
    assert told.events == []


@pytest.mark.parametrize(
    ("word", "header"), [("state", {"state": "asleep"}), ("journal", {}), ("end", {"end": {}})]
)
def test_nonsense_fails(told: Told, word: str, header: Header) -> None:
    told.push(word, **header)
    assert len(told.failures) == 1


def test_end_is_told_once(told: Told) -> None:
    end = to_json(AttemptEnd(RunState.DONE))
    told.push("end", end=end, image_digest="")
    told.push("end", end=end, image_digest="")
    told.follower.close()
    assert [each.state for each in told.ends] == [RunState.DONE]


def test_two_followers_of_one_file_write_it_once(tmp_path: Path) -> None:
    """As when a second process brings home what the first, cut off, brings again later."""
    data = journal(9)
    one, other = Told(tmp_path / "attempt"), Told(tmp_path / "attempt")
    one.push("journal", data[:120], offset=0)
    other.follower.resume()
    assert other.follower.offset == 120
    other.push("journal", data[120:], offset=120)
    one.push("journal", data[120:300], offset=120)
    assert (tmp_path / "attempt" / "journal").read_bytes() == data
    assert [event.number for event in other.events] == list(range(1, 10))
    assert one.failures + other.failures == []

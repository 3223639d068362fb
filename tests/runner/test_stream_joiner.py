"""The reading end of a stream: joined, drained, never held up."""

from __future__ import annotations

import os

from kernelext.runner.output import JOIN_BYTES, StreamJoiner


def test_drain_takes_what_is_there_and_not_what_comes_meanwhile() -> None:
    taken: list[bytes] = []

    def emit(_: str, data: bytes) -> None:
        taken.append(data)
        if len(taken) < 100:
            os.write(joiner.write_fd, bytes(JOIN_BYTES))  # a writer that is always ahead

    joiner = StreamJoiner("stdout", emit)
    os.write(joiner.write_fd, bytes(JOIN_BYTES))
    joiner.drain()
    assert len(taken) == 1
    os.close(joiner.write_fd)
    os.close(joiner.read_fd)


def test_end_of_file_is_seen() -> None:
    joiner = StreamJoiner("stdout", lambda *_: None)
    os.close(joiner.write_fd)
    assert joiner.read() == 0
    assert joiner.at_end
    os.close(joiner.read_fd)

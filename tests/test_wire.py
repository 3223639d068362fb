"""Frames: whole after any cutting, refused when they cannot be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelext.errors import ProtocolError
from kernelext.wire import LENGTHS, MAX_BODY_BYTES, FrameDecoder, encode_frame, encode_prefix

headers = st.dictionaries(st.text(), st.integers() | st.text() | st.none(), max_size=4)


@given(st.lists(st.tuples(headers, st.binary(max_size=200)), max_size=5), st.data())
def test_frames_survive_any_cutting(frames: list[tuple[dict, bytes]], data: st.DataObject) -> None:
    stream = b"".join(encode_frame(header, body) for header, body in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    decoder = FrameDecoder()
    found = []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += decoder.feed(stream[start:stop])
    assert found == frames
    assert decoder.consumed_bytes == len(stream)


@given(st.binary(max_size=100))
def test_garbage_is_at_worst_refused(garbage: bytes) -> None:
    decoder = FrameDecoder()
    try:
        for header, _ in decoder.feed(garbage):
            assert isinstance(header, dict)
    except ProtocolError:
        pass


@pytest.mark.parametrize("text", [b"[1]", b"nonsense", b'"text"'])
def test_header_that_is_no_object_is_refused(text: bytes) -> None:
    with pytest.raises(ProtocolError):
        list(FrameDecoder().feed(LENGTHS.pack(len(text), 0) + text))


def test_body_too_large_is_refused_on_both_sides() -> None:
    with pytest.raises(ProtocolError):
        encode_prefix({}, MAX_BODY_BYTES + 1)
    with pytest.raises(ProtocolError):
        list(FrameDecoder().feed(LENGTHS.pack(2, MAX_BODY_BYTES + 1) + b"{}"))

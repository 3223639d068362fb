"""A daemon that answers nonsense ends its connection, in an error of ours."""

from __future__ import annotations

import socket
import threading

from hypothesis import example, given, settings
from hypothesis import strategies as st

from kernelext.errors import KernelExtError
from kernelext.link.client import DaemonClient
from kernelext.link.local import LocalPipe
from kernelext.models import AttemptId
from kernelext.wire import Header, encode_frame

words = st.text(max_size=6)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)
frames = st.builds(
    encode_frame,
    st.dictionaries(st.sampled_from(["id", "error", "kind", "push", "attempt"]), json_values),
    st.binary(max_size=10),
)


@settings(max_examples=80, derandomize=True, deadline=None)
@example(encode_frame({"id": 1, "error": "no", "kind": "RemoteCellError"}))
@example(encode_frame({"push": "state", "attempt": None}))
@given(st.one_of(st.binary(max_size=60), st.lists(frames, max_size=3).map(b"".join)))
def test_nonsense_is_an_answer_or_an_error(data: bytes) -> None:
    def take(header: Header, _: bytes) -> None:
        if "attempt" in header:
            AttemptId.from_json(header["attempt"])

    here, there = socket.socketpair()
    lost = threading.Event()
    client = DaemonClient("host01", LocalPipe(here), take, lost.set)
    with there:
        answer = client.send({"op": "ping"})
        there.recv(1000)
        there.sendall(data)
        there.shutdown(socket.SHUT_WR)
        try:
            header, _ = client.result(answer, 5)
            assert header["id"] == 1
        except KernelExtError:
            pass
        assert lost.wait(5)
    client.close()

"""Whatever a host pushes, home answers with an error of ours and writes into its folder only."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelext.errors import KernelExtError, ProtocolError
from kernelext.events import Event
from kernelext.hosts.config import HostConfig
from kernelext.models import (
    AttemptEnd,
    AttemptId,
    HostFacts,
    ImageFacts,
    RunSpec,
    Task,
    ValueRef,
    to_json,
)
from kernelext.runs.follower import Follower
from kernelext.runs.plan import RunPlan
from kernelext.runs.results import FoldResult, fold_error
from kernelext.wire import FrameDecoder, encode_frame

ATTEMPT = AttemptId("run", "0", 1)
EXPECTED = (KernelExtError, KeyError, ValueError, TypeError, OSError)

quick = settings(max_examples=40, derandomize=True, deadline=None)

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
nasty = st.sampled_from(
    ["", "..", "/etc/passwd", "../../x", "a" * 64, "ab" * 32, "\0", "é", -1, 2**70]
)
json_values = st.recursive(
    scalars | nasty,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)

PLAN = RunPlan("run", "remote", "title", "code", "Cell", "me", (HostConfig("host01"),), {})


def objects(*names: str) -> st.SearchStrategy[dict[str, object]]:
    """JSON objects in which these names are likely."""
    return st.dictionaries(
        st.sampled_from(names) | st.text(max_size=6), json_values, max_size=len(names)
    )


REF_NAMES = ("name", "codec", "identity", "chunks", "type_name", "size_bytes", "shape", "dtype")
GOOD_REF = to_json(ValueRef("x", "json", "ab" * 32, (), shape=(1,)))
refs = objects(*REF_NAMES) | st.builds(lambda odd: {**GOOD_REF, **odd}, objects(*REF_NAMES))
EVENT_KINDS = (
    "stream",
    "value",
    "changed",
    "error",
    "result",
    "exit",
    "journal",
    "display",
    "progress",
)
events = st.builds(
    lambda kind, number, more, ref, has_ref: {
        "kind": kind,
        "n": number,
        "at": 0.0,
        **more,
        **({"ref": ref} if has_ref else {}),
    },
    st.sampled_from(EVENT_KINDS) | json_values,
    st.integers(0, 3) | json_values,
    objects("names", "name", "left", "ref"),
    refs,
    st.booleans(),
)


class Home:
    """A follower in a folder of its own, and what it tells."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.failures: list[Exception] = []
        self.ends: list[AttemptEnd] = []
        self.follower = Follower(
            ATTEMPT,
            folder / "attempt",
            on_event=lambda _: None,
            on_state=lambda _: None,
            on_end=lambda end, _: self.ends.append(end),
            on_failure=self.failures.append,
        )

    def written(self) -> set[str]:
        """List the files below the folder."""
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*")}


@quick
@given(st.lists(st.tuples(events, st.binary(max_size=40)), max_size=5), st.binary(max_size=30))
def test_fuzzed_journals_stay_in_their_folder(
    frames: list[tuple[dict[str, object], bytes]], tail: bytes
) -> None:
    data = b"".join(encode_frame(header, body) for header, body in frames) + tail
    with tempfile.TemporaryDirectory() as name:
        home = Home(Path(name))
        home.follower.take({"push": "journal", "offset": 0}, data)
        assert len(home.failures) <= 1
        assert all(isinstance(each, EXPECTED) for each in home.failures)
        for ref in home.follower.account.large_values():
            path = home.follower.account.value_path(ref)
            assert path.resolve().parent == (Path(name).resolve() / "attempt" / "values")
        result = home.follower.result("host01", AttemptEnd.from_json({"state": "done"}))
        assert fold_error(result, PLAN) is None
        home.follower.close()
        assert home.written() <= {"attempt", "attempt/journal"}


@quick
@given(objects("push", "offset", "state", "end", "image_digest"), st.binary(max_size=20))
def test_fuzzed_pushes_fail_their_attempt_alone(header: dict[str, object], body: bytes) -> None:
    for word in ("journal", "state", "end", header.get("push")):
        with tempfile.TemporaryDirectory() as name:
            home = Home(Path(name))
            home.follower.take({**header, "push": word}, body)
            home.follower.close()
            assert home.written() <= {"attempt", "attempt/journal"}


@quick
@given(st.binary(max_size=200), st.lists(st.integers(1, 50), max_size=5))
def test_fuzzed_frames_are_frames_or_an_error(data: bytes, cuts: list[int]) -> None:
    decoder = FrameDecoder()
    try:
        for size in [*cuts, len(data)]:
            piece, data = data[:size], data[size:]
            for header, _ in decoder.feed(piece):
                assert isinstance(header, dict)
    except ProtocolError:
        return


def test_brackets_without_end_are_refused() -> None:
    text = b"[" * 200_000
    with pytest.raises(ProtocolError):
        list(FrameDecoder().feed(len(text).to_bytes(4, "big") + bytes(4) + text))
    assert Event(1, "result", {}, text).content() == {}


@quick
@given(st.binary(max_size=60), st.binary(max_size=20))
def test_headers_that_are_no_json_objects_are_refused(text: bytes, body: bytes) -> None:
    lengths = len(text).to_bytes(4, "big") + len(body).to_bytes(4, "big")
    try:
        frames = list(FrameDecoder().feed(lengths + text + body))
    except ProtocolError:
        return
    assert [each for _, each in frames] == [body]


@pytest.mark.parametrize(
    "cls", [ValueRef, AttemptEnd, AttemptId, HostFacts, ImageFacts, RunSpec, Task]
)
def test_nouns_of_fuzzed_json_are_made_or_refused(cls: type) -> None:
    names = tuple(cls.__dataclass_fields__)

    @quick
    @given(objects(*names) | refs)
    def check(data: dict[str, object]) -> None:
        try:
            cls.from_json(data)
        except (KeyError, ValueError, TypeError):
            return

    check()


@quick
@given(objects("ename", "evalue", "traceback", "lineage"), st.integers() | st.none())
def test_fuzzed_failures_become_errors(failure: dict[str, object], number: int | None) -> None:
    end = AttemptEnd.from_json({"state": "failed", "cause": "cell_error", "signal": number})
    error = fold_error(FoldResult(ATTEMPT, "host01", end, failure=failure), PLAN)
    assert isinstance(error, BaseException)
    assert isinstance(str(error), str)


@quick
@given(st.binary(max_size=60))
def test_fuzzed_event_bodies_are_content_or_an_error(body: bytes) -> None:
    try:
        assert isinstance(Event.from_frame({"kind": "result", "n": 1}, body).content(), dict)
    except EXPECTED:
        return

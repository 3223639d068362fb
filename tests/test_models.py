"""Dataclasses survive JSON."""

from __future__ import annotations

import json

import pytest

from kernelext.models import (
    AttemptEnd,
    Chunk,
    EndCause,
    FileEntry,
    Limits,
    RunSpec,
    RunState,
    Task,
    ValueRef,
    to_json,
)

REF = ValueRef("x", "npy", "ab" * 32, (Chunk("cd" * 32, 7),), "ndarray", 8, (2, 4), "<f8")


@pytest.mark.parametrize(
    "value",
    [
        REF,
        FileEntry("a/b.py", 0o644, (Chunk("ab" * 32, 3), Chunk("cd" * 32, 4))),
        RunSpec("r", "me", "t", "x", "Cell In[1]", (REF,), ("y",), limits=Limits(timeout_s=2.0)),
        RunSpec("r", "me", "t", "x", "f", project=Chunk("ab" * 32, 3), env=("A",)),
        RunSpec("r", "me", "t", "x", "f", futures=("annotations",)),
        Task("3", 2, (REF,)),
        AttemptEnd(RunState.FAILED, EndCause.OUT_OF_MEMORY, "m", None, 9, 10),
        AttemptEnd(RunState.DONE),
    ],
)
def test_json_brings_back_the_same(value: object) -> None:
    data = json.loads(json.dumps(to_json(value)))
    assert type(value).from_json(data) == value  # type: ignore[attr-defined]


@pytest.mark.parametrize("change", [{"identity": "../../escaped"}, {"codec": "a/b"}])
def test_value_that_names_a_path_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="of a value"):
        ValueRef.from_json({**to_json(REF), **change})


def test_fields_of_a_later_version_are_left_out() -> None:
    assert Task.from_json({**to_json(Task("1", 1)), "later": True}) == Task("1", 1)

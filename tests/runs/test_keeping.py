"""What an untrusted host sends without having been asked is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernelext.hosts.config import HostConfig
from kernelext.models import AttemptEnd, AttemptId, RunState, ValueRef
from kernelext.runs import FoldResult, RunPlan, StoredValue
from kernelext.runs.keeping import keep_pickles


def result(*names: str) -> FoldResult:
    end = AttemptEnd(RunState.DONE)
    values = {
        name: StoredValue(ValueRef(name, "pickle", f"{n:064x}", ()), name.encode())
        for n, name in enumerate(names)
    }
    return FoldResult(AttemptId("r", "0", 1), "h", end, values)


def plan(*outputs: str, compare: bool = True) -> RunPlan:
    return RunPlan(
        run="r",
        kind="remote",
        title="",
        code="",
        filename="",
        owner="",
        hosts=(HostConfig("h", ssh="h", pickles="keep"),),
        folds={"0": {}},
        inputs={"changed": []},
        outputs=outputs,
        compare=compare,
    )


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        (plan("a"), {"a", "changed"}),
        (plan("a", compare=False), {"a"}),
        (plan("*"), {"a", "changed", "print"}),
    ],
)
def test_only_what_was_asked_for_is_kept(asked: RunPlan, kept: set[str], tmp_path: Path) -> None:
    said = result("a", "changed", "print", "__builtins__", "no name")
    found = keep_pickles(said, asked, tmp_path / "values")
    assert set(found.values) == kept
    assert not found.loads_pickles


def test_every_result_is_a_file(tmp_path: Path) -> None:
    found = keep_pickles(result("a"), plan("a"), tmp_path / "values")
    path = found.values["a"].source
    assert isinstance(path, Path)
    assert path.read_bytes() == b"a"

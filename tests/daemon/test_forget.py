"""A released attempt is gone at once, its files soon after."""

from __future__ import annotations

import time
from pathlib import Path

from kernelext.daemon.blobs import BlobStore
from kernelext.daemon.statedir import StateDir
from kernelext.models import AttemptId


def test_forgotten_attempt_leaves_nothing(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    BlobStore(state)
    kept, gone = AttemptId("run", "0", 1), AttemptId("run", "1", 1)
    for attempt in (kept, gone):
        (state.attempt(attempt) / "work").mkdir(parents=True)
    state.forget(gone)
    assert [path.name for path in (state.runs / "run").iterdir()] == ["0"]
    state.forget(kept)
    assert not list(state.runs.iterdir())
    deadline_s = time.monotonic() + 5
    while list(state.incoming.iterdir()):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_nothing_to_forget_is_fine(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    state.forget(AttemptId("run", "0", 1))
    assert not list(state.runs.iterdir())

"""The values of an attempt's environment: kept until its cell has them, then gone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kernelext.daemon.attempts import Attempts
from kernelext.daemon.pulse import Pulse
from kernelext.daemon.statedir import StateDir
from kernelext.errors import DaemonError
from kernelext.models import AttemptEnd, AttemptId, RunSpec, RunState, Task

ID = AttemptId("r", "0", 1)
ENV = {"TOKEN": "s3cret"}


def attempts(tmp_path: Path, state: str = "state") -> Attempts:
    """What a daemon knows after its start."""
    made = Attempts(StateDir(tmp_path / state), tmp_path / "secrets", Pulse())
    made.load()
    return made


def add(to: Attempts) -> None:
    to.add(RunSpec("r", "ada", "t", "", "f", env=("TOKEN",)), Task("0", 1), ENV)


def secrets(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "secrets").rglob("*") if path.is_file()]


def test_values_outlive_the_daemon_until_the_cell_has_them(tmp_path: Path) -> None:
    first = attempts(tmp_path)
    add(first)
    for state in (RunState.STARTING, RunState.RUNNING):
        first.change(first.get(ID), state=state)
        assert attempts(tmp_path).get(ID).env == ENV
    second = attempts(tmp_path)
    second.drop_env(second.get(ID))
    assert second.get(ID).env == {}
    assert secrets(tmp_path) == []


def test_values_go_with_the_end(tmp_path: Path) -> None:
    known = attempts(tmp_path)
    add(known)
    end = AttemptEnd(RunState.CANCELLED)
    known.change(known.get(ID), state=end.state, end=end)
    assert secrets(tmp_path) == []


def test_values_of_an_attempt_that_was_never_whole_go(tmp_path: Path) -> None:
    add(attempts(tmp_path))
    add(attempts(tmp_path, "state2"))
    (tmp_path / "state" / "runs" / "r" / "0" / "1" / "record.json").unlink()
    known = attempts(tmp_path)
    assert len(secrets(tmp_path)) == 1
    add(known)
    assert attempts(tmp_path).get(ID).env == attempts(tmp_path, "state2").get(ID).env == ENV


def test_only_we_may_look(tmp_path: Path) -> None:
    add(attempts(tmp_path))
    found = secrets(tmp_path)[0]
    assert found.stat().st_mode & 0o777 == 0o600
    assert found.parent.stat().st_mode & 0o777 == 0o700
    assert json.loads(found.read_text()) == ENV


def test_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "secrets").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DaemonError, match="not ours"):
        attempts(tmp_path)


def test_values_are_in_no_record(tmp_path: Path) -> None:
    known = attempts(tmp_path)
    add(known)
    assert "s3cret" not in repr(known.get(ID))
    for path in (tmp_path / "state").rglob("*"):
        assert not path.is_file() or b"s3cret" not in path.read_bytes()

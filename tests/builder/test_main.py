"""The build container's work: pieces side by side, and the death of one that makes them."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from kernelext.builder import main as builder

from ..image.wheels import make_wheel


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A build's folder with two wheels."""
    (tmp_path / "packages").mkdir()
    (tmp_path / "pieces").mkdir()
    wheels = [make_wheel(tmp_path / "packages", name) for name in ("one", "two")]
    jobs = [
        {"file": wheel.name, "kind": "wheel", "name": wheel.name[:3], "out": wheel.stem}
        for wheel in wheels
    ]
    (tmp_path / "job.json").write_text(json.dumps({"pieces": jobs}))
    return tmp_path


def said(capfd: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    """The lines that were printed."""
    return [json.loads(line) for line in capfd.readouterr().out.splitlines()]


def test_all_pieces_are_made(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert builder.main([str(folder)]) == 0
    assert sorted(line["made"] for line in said(capfd)) == ["one", "two"]
    assert len(list((folder / "pieces").iterdir())) == 2


def test_what_is_no_wheel_is_named(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    next((folder / "packages").glob("two*")).write_bytes(b"no wheel")
    assert builder.main([str(folder)]) == 1
    assert said(capfd)[-1]["error"].startswith("two cannot be installed: File is not a zip file")


def test_death_of_a_maker_is_an_end(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builder, "write_piece", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    assert builder.main([str(folder)]) == 1
    assert (
        "its installation was killed; has the host too little memory?" in said(capfd)[-1]["error"]
    )

"""Nothing that a container plants leads out of its directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kernelext.daemon.statedir import StateDir, open_beneath
from kernelext.errors import DaemonError
from kernelext.models import AttemptId


def test_regular_file_is_opened(tmp_path: Path) -> None:
    (tmp_path / "values").mkdir()
    (tmp_path / "values" / "x").write_bytes(b"data")
    with os.fdopen(open_beneath(tmp_path, "values", "x"), "rb") as file:
        assert file.read() == b"data"


def test_links_pipes_and_absent_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    work = tmp_path / "work"
    work.mkdir()
    (work / "link").symlink_to(tmp_path / "secret")
    (work / "folder").symlink_to(tmp_path)
    os.mkfifo(work / "pipe")
    for parts in (("link",), ("folder", "secret"), ("pipe",), ("absent",)):
        with pytest.raises(DaemonError):
            open_beneath(work, *parts)


@pytest.mark.parametrize("name", ["..", "a/b", "", "-x", "a\n"])
def test_ids_that_are_no_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DaemonError):
        StateDir(tmp_path).attempt(AttemptId(name, "0", 1))

"""Where the history lies."""

from pathlib import Path

from kernelext.history import data_dir, history_path


def test_data_dir_is_the_named_one(tmp_path: Path) -> None:
    environ = {"KERNELEXT_DATA": str(tmp_path)}
    assert data_dir(environ) == tmp_path
    assert history_path(environ) == tmp_path / "history.sqlite"


def test_data_dir_is_else_the_platforms() -> None:
    assert data_dir({"KERNELEXT_DATA": ""}).name == "kernelext"

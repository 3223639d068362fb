"""A remote exception poses as what it was."""

from __future__ import annotations

import pytest

from kernelext.errors import RemoteCellError, remote_cell_error


def content(ename: str, *lineage: str) -> dict[str, object]:
    return {"ename": ename, "evalue": "why", "traceback": ["a", "b"], "lineage": list(lineage)}


@pytest.mark.parametrize(
    ("lineage", "base"),
    [
        (["builtins.ValueError", "builtins.Exception"], ValueError),
        (["builtins.FileNotFoundError", "builtins.OSError"], FileNotFoundError),
        (["builtins.UnicodeDecodeError", "builtins.ValueError"], UnicodeDecodeError),
        (["builtins.SyntaxError"], SyntaxError),
        (["json.decoder.JSONDecodeError", "builtins.ValueError"], ValueError),
        (["nowhere.Mine", "builtins.KeyError", "builtins.LookupError"], KeyError),
        (["builtins.SystemExit", "builtins.BaseException"], RemoteCellError),
        (["__main__.Odd"], RemoteCellError),
    ],
)
def test_remote_error_is_of_the_nearest_known_class(lineage: list[str], base: type) -> None:
    error = remote_cell_error(content("Name", *lineage), host="host01")
    assert isinstance(error, base)
    assert isinstance(error, RemoteCellError)
    assert type(error).__name__ == "Name"
    assert str(error) == "why"
    assert error.host == "host01"
    assert error._render_traceback_() == ["a", "b"]


def test_remote_error_of_nothing_is_still_an_error() -> None:
    assert isinstance(remote_cell_error({}), RemoteCellError)

"""What Tab offers, from parsers, files and the history."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernelext.history import History, RunRow, history_path, iso_time
from kernelext.verbs.commands import command_parser
from kernelext.verbs.completing import Surroundings, complete_cell_line, complete_command_line


@pytest.fixture
def here(tmp_path: Path) -> Surroundings:
    """A folder with a history of one run and two hosts."""
    config = tmp_path / "kernelext.toml"
    config.write_text("[hosts.aws01]\n[hosts.aws02]\n")
    (tmp_path / "Dockerfile").touch()
    environ = {
        "HOME": str(tmp_path),
        "KERNELEXT_CONFIG": str(config),
        "KERNELEXT_DATA": str(tmp_path / "data"),
    }
    with History.open(history_path(environ)) as history:
        row = RunRow("abc123", "me", "a title", "remote", "x = 1", "Cell", iso_time(1e9))
        history.add_run(row, ["0"])
    return Surroundings(tmp_path, environ, {"X": 1, "y": 2, "_hidden": 3})


@pytest.mark.parametrize(
    ("kind", "words", "last", "texts"),
    [
        ("remote", [], "aws", ["aws01", "aws02"]),
        ("remote", ["aws01"], "", []),
        ("remote", ["--memory"], "", []),
        ("remote", ["--in"], "X,", ["X,y"]),
        ("remote", ["--on"], "aws01,aw", ["aws01,aws02"]),
        ("remote", [], "--ti", ["--timeout"]),
        ("remote", ["--timeout", "2h"], "--ti", []),
        ("remote", ["--env"], "KERNELEXT_D", ["KERNELEXT_DATA"]),
        ("folds", [], "aws", []),
        ("folds", ["0-4", "--on"], "local", ["local"]),
    ],
)
def test_cell_lines(
    here: Surroundings, kind: str, words: list[str], last: str, texts: list[str]
) -> None:
    assert [each.text for each in complete_cell_line(kind, words, last, here)] == texts


@pytest.mark.parametrize(
    ("words", "last", "texts"),
    [
        ([], "f", ["fetch"]),
        (["fetch"], "a", ["abc123"]),
        (["cancel", "--kill"], "la", ["last"]),
        (["logs", "--fold", "3"], "ab", ["abc123"]),
        (["doctor", "aws01"], "aws", ["aws01", "aws02"]),
        (["gc"], "--o", ["--older-than"]),
        (["image"], "", ["build", "ls", "rm", "save", "load"]),
        (["image", "build"], "c", ["cpu"]),
        (["image", "build"], "D", ["Dockerfile"]),
        (["image", "build"], "re", []),
        (["image", "build", "--on"], "aws01,a", ["aws01,aws02"]),
        (["image", "rm"], "--u", ["--unused"]),
        (["image", "nothing"], "", []),
        (["nothing"], "", []),
    ],
)
def test_command_lines(here: Surroundings, words: list[str], last: str, texts: list[str]) -> None:
    parser = command_parser("%remote")
    assert [each.text for each in complete_command_line(parser, words, last, here)] == texts


def test_runs_have_their_titles(here: Surroundings) -> None:
    assert [(each.text, each.kind) for each in here.runs()] == [
        ("last", "run"),
        ("abc123", "a title"),
    ]

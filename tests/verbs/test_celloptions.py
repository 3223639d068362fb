"""The line of a magic: read, or refused with the mistake."""

from __future__ import annotations

import pytest

from kernelext.errors import OptionError
from kernelext.models import ALL_GPUS
from kernelext.verbs.celloptions import parse_cell_options, parse_folds
from kernelext.verbs.parsing import HelpShown


def test_all_options_are_read() -> None:
    found = parse_cell_options(
        "folds",
        "0-2 --on a,b --in x,y --out z --image i:1 --cpus 0.5 --memory 2g --env K"
        " --timeout 90s --name 'two words'",
    )
    assert found.folds == (0, 1, 2)
    assert found.hosts == ("a", "b")
    assert (found.inputs, found.outputs) == (("x", "y"), ("z",))
    assert (found.image, found.env, found.name) == ("i:1", ("K",), "two words")
    assert found.limits.cpus == 0.5
    assert found.limits.memory_bytes == 2 * 1024**3
    assert found.limits.timeout_s == 90


@pytest.mark.parametrize("line", ["host01", "--on host01"])
def test_host_is_the_first_word_or_an_option(line: str) -> None:
    assert parse_cell_options("remote", line).hosts == ("host01",)


def test_options_given_twice_take_the_names_of_both() -> None:
    found = parse_cell_options(
        "folds", "0-1 --on a --in x,y --in z --out p --on b --out q --env K --env L"
    )
    assert (found.hosts, found.inputs) == (("a", "b"), ("x", "y", "z"))
    assert (found.outputs, found.env) == (("p", "q"), ("K", "L"))


def test_nothing_given_leaves_it_to_the_cell_and_the_file() -> None:
    found = parse_cell_options("remote", "")
    assert (found.hosts, found.inputs, found.outputs) == ((), None, None)
    assert parse_cell_options("remote", "--out none").outputs == ()


@pytest.mark.parametrize(
    ("line", "gpus"),
    [("", None), ("--gpus 0", 0), ("--gpus 2", 2), ("--gpus all", ALL_GPUS)],
)
def test_gpus_are_a_number_or_all(line: str, gpus: int | None) -> None:
    assert parse_cell_options("remote", line).limits.gpus == gpus


@pytest.mark.parametrize(
    ("kind", "line", "part"),
    [
        ("remote", "a --on b", "given twice"),
        ("remote", "--on a,b", "%%folds"),
        ("remote", "--memory lots", "lots"),
        ("remote", "--memory 8", "--memory 8 is 8 bytes, too few for a cell; give the unit"),
        ("remote", "--memory 1k", "1024 bytes"),
        ("remote", "--out a,none", "write it alone"),
        ("remote", "--on a --on b", "one host, not on 2"),
        ("remote", "--env A --env B=1", "--env takes names"),
        ("remote", "--cpus 0", "--cpus"),
        ("remote", "--cpus many", "--cpus"),
        ("remote", "--timeout soon", "soon"),
        ("remote", "--gpus some", "--gpus some cannot be"),
        ("remote", "--gpus=-1", "--gpus -1 cannot be"),
        ("remote", "--gpus 1.5", "--gpus 1.5 cannot be"),
        ("remote", "--wrong", "--help"),
        ("remote", "'open", "cannot be read"),
        ("folds", "", "--help"),
        ("folds", "0-4 --on a,a", "twice"),
        ("folds", "4-0", "backwards"),
        ("folds", "0-4:0", "step"),
        ("folds", "x", "no folds"),
        ("folds", "1,1", "twice"),
        ("folds", "0-99999", "more than"),
    ],
)
def test_mistakes_are_sentences(kind: str, line: str, part: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse_cell_options(kind, line)
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "folds"),
    [("0-4", (0, 1, 2, 3, 4)), ("0,2,4", (0, 2, 4)), ("0-9:2", (0, 2, 4, 6, 8)), ("7", (7,))],
)
def test_folds_are_ranges_lists_and_steps(text: str, folds: tuple[int, ...]) -> None:
    assert parse_folds(text) == folds


def test_help_is_shown_instead_of_run() -> None:
    with pytest.raises(HelpShown, match="--timeout"):
        parse_cell_options("remote", "--help")


@pytest.mark.parametrize(
    ("line", "sends", "brings"),
    [
        ("", True, True),
        ("--sync both", True, True),
        ("--sync in", True, False),
        ("--sync out", False, True),
        ("--sync none", False, False),
    ],
)
def test_sync_says_which_way_files_go(line: str, sends: bool, brings: bool) -> None:
    found = parse_cell_options("remote", line)
    assert (found.sends_files, found.brings_files) == (sends, brings)


def test_sync_of_another_word_is_refused() -> None:
    with pytest.raises(OptionError, match="--sync"):
        parse_cell_options("remote", "--sync up")

"""An edited cell is parsed as if it had never been seen."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelext.cell.edits import Parser

WHOLE = [
    "a = 1",
    "a = 1; b = [\n2, 3]",
    "if a:\n    b = 2\nelse:\n    c = 3",
    "def f(x):\n    return x\n    y = 1",
    "@decorate\n@decorate.with_(\n1)\nclass C: pass",
    "text = '''\n'''; b = 2",
    "one = 1 \\\n+ 2",
    "one = 1 \\\n",
    "global a",
    "try:\n    pass\nexcept ValueError:\n    await g()\nfinally:\n    pass",
    "# a comment",
    "# one that seems to go on \\",
    "for i in a:\n    break",
    "match a:\n    case 1: pass",
    "x: int; y = 3",
    "",
]
PIECES = """\
else:
elif a: pass
    case 2: pass
    def m(self): yield
@decorate
'''
+ 2
(
2, 3
2, 3]
return 1
from __future__ import annotations
case = 2 \\""".splitlines()
STATEMENTS = st.sampled_from(WHOLE)
# Where (among the statements, then among the lines of one), how much goes, what comes.
EDITS = st.lists(
    st.tuples(
        st.integers(0, 7),
        st.integers(0, 3),
        st.integers(0, 2),
        st.none() | STATEMENTS | st.sampled_from(PIECES),
    ),
    min_size=1,
    max_size=4,
)


def edited(text: str, where: int, line: int, n_gone: int, piece: str | None) -> str:
    lines = text.split("\n")
    starts = [n for n, each in enumerate(lines) if each[:1].strip()] or [0]
    start = starts[where % len(starts)] + line
    return "\n".join(
        [*lines[:start], *([] if piece is None else [piece]), *lines[start + n_gone :]]
    )


class Whole:
    """Parses and counts the lines that it was asked for."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, text: str) -> ast.Module:
        self.texts.append(text)
        tree = compile(text, "<cell>", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        assert isinstance(tree, ast.Module)
        compile(tree, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        return tree


def outcome(parser: Parser, text: str) -> object:
    try:
        return ast.dump(parser.parse(text), include_attributes=True)
    except SyntaxError as exc:
        return (exc.msg, exc.lineno, exc.offset)


@settings(max_examples=500)
@given(first=st.lists(STATEMENTS, min_size=1, max_size=8), edits=EDITS)
def test_every_edit_gives_the_tree_or_the_error_of_the_whole(
    first: list[str], edits: list[tuple[int, int, int, str | None]]
) -> None:
    parser = Parser(Whole())
    text = "\n".join(first)
    outcome(parser, text)
    for edit in edits:
        text = edited(text, *edit)
        assert outcome(parser, text) == outcome(Parser(Whole()), text)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a = 1\nglobal b", "a = 1\nglobal a"),
        ("a = 1\nb = 2", "a = 1\nfrom __future__ import division"),
        ("a = 1; b = (\n2)", "a = 1; b = (\n2"),
        ("a = '''\n'''; b = 2", "a = 1\n'''; b = 2"),
        ("one = 1 \\\n\ntwo = 2", "one = 1 \\\n+ 2\ntwo = 2"),
        ("a = 1\n\n-b", "a = 1\nc = 3 \\\n-b"),
        ("@once\ndef f(): pass", "\ndef f(): pass"),
        ("if a:\n    b\n\nc", "if a:\n    b\nelse: d\nc"),
        ("a = 1\nb = 2\nc = 3", "a = 1"),
    ],
)
def test_a_statement_that_reaches_beyond_its_lines(before: str, after: str) -> None:
    parser = Parser(Whole())
    outcome(parser, before)
    assert outcome(parser, after) == outcome(Parser(Whole()), after)


CELL = "import numpy as np\n\n\n@cached\ndef f(x):\n    return x + 1\n\n\ny = f(2)\nz = 3\n"


@pytest.mark.parametrize(
    ("after", "parsed"),
    [
        (CELL.replace("x + 1", "x + 2"), "@cached\ndef f(x):\n    return x + 2"),
        (CELL.replace("f(2)", "f(3)"), "y = f(3)"),
        (CELL + "w = 4", "w = 4"),
        (CELL, ""),
        (CELL.replace("\n\n\ny", "\ny"), "y = f(2)\nz = 3"),
    ],
)
def test_only_what_differs_is_parsed(after: str, parsed: str) -> None:
    whole = Whole()
    parser = Parser(whole)
    parser.parse(CELL)
    parser.parse(after)
    assert [text.strip() for text in whole.texts] == [CELL.strip(), parsed]


def test_goes_back_to_an_earlier_cell() -> None:
    whole = Whole()
    parser = Parser(whole)
    for text in (CELL, "other = 1\n" * 50, CELL.replace("z = 3", "z = 4")):
        parser.parse(text)
    assert whole.texts[-1].strip() == "z = 4"

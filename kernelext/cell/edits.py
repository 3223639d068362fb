"""Parses a cell that was edited since an earlier run: only the statements on lines that differ.

A cell is run again and again with a line changed. What `compile` says of a top-level statement
depends on its own text alone, save where the cell has a word of `_REACHING`.
"""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Callable

# A `global` is an error after a use of its name, a future import after any statement; the others
# are ends of lines for Python too.
_REACHING = ("global", "__future__", "\r", "\f")
_PARSES_KEPT = 8


@dataclass(frozen=True)
class _Parse:
    lines: list[str]
    statements: list[ast.stmt]


@dataclass(frozen=True)
class _Overlap:
    """What a text shares with an earlier one: statements at its head and at its tail.

    Attributes
    ----------
    head, tail : list of ast.stmt
        On the same lines in both.
    start, stop : int
        The lines between them, counted from 0.
    """

    head: list[ast.stmt]
    tail: list[ast.stmt]
    start: int
    stop: int


class Parser:
    """Parses texts, each beside those it has parsed before.

    Parameters
    ----------
    parse : callable
        Takes a text and returns its tree, whose nodes nobody changes, or raises `SyntaxError`.
    """

    def __init__(self, parse: Callable[[str], ast.Module]) -> None:
        self._parse = parse
        self._kept: deque[_Parse] = deque(maxlen=_PARSES_KEPT)

    def parse(self, text: str) -> ast.Module:
        """Return the tree that `parse` makes of a text.

        Raises
        ------
        SyntaxError
            As `parse` raises it for the whole text.
        """
        if any(each in text for each in _REACHING):
            return self._parse(text)
        lines = text.split("\n")
        tree = self._parse_between(lines) or self._parse(text)
        self._kept.append(_Parse(lines, tree.body))
        return tree

    def _parse_between(self, lines: list[str]) -> ast.Module | None:
        overlaps = [_overlap(kept, lines) for kept in tuple(self._kept)]
        best = min(overlaps, key=lambda each: each.stop - each.start, default=None)
        if best is None or not (best.head or best.tail):
            return None
        between = lines[best.start : best.stop]
        if any(line.endswith("\\") for line in (*lines[: best.start][-1:], *between[-1:])):
            return None  # it goes on in the next line
        try:
            found = self._parse("\n" * best.start + "\n".join(between))
        except SyntaxError:
            return None  # as it may be, without what stands before it
        return ast.Module([*best.head, *found.body, *best.tail], [])


def _overlap(kept: _Parse, lines: list[str]) -> _Overlap:
    n_same_head = _n_same(kept.lines, lines)
    head, tail = list(kept.statements), []
    while head and (head[-1].end_lineno or 0) > n_same_head:
        tail.append(head.pop())
    tail = tail[::-1]
    if head and tail and _first_line(tail[0]) <= (head[-1].end_lineno or 0):
        return _Overlap([], [], 0, len(lines))  # `a = 1; b = [` on one line
    start = edge = (head[-1].end_lineno or 0) if head else 0
    if len(kept.lines) != len(lines):  # the tail's lines have other numbers now
        return _Overlap(head, [], start, len(lines))
    cut = len(lines) - _n_same(kept.lines[n_same_head:][::-1], lines[n_same_head:][::-1])
    while tail and (_first_line(tail[0]) <= cut or _first_line(tail[0]) <= edge):
        edge = tail.pop(0).end_lineno or 0
    return _Overlap(head, tail, start, _first_line(tail[0]) - 1 if tail else len(lines))


def _n_same(some: Sequence[str], others: Sequence[str]) -> int:
    for number, (one, other) in enumerate(zip(some, others)):
        if one != other:
            return number
    return min(len(some), len(others))


def _first_line(statement: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min((statement.lineno, *(each.lineno for each in decorators)))

"""Lists what a cell imports; looks no module up."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Any, Union

Import = Union[ast.Import, ast.ImportFrom]


def import_statements(tree: ast.Module) -> Iterator[Import]:
    """Yield the import statements of a cell, those within functions included.

    Parameters
    ----------
    tree : ast.Module
        The cell.

    Yields
    ------
    ast.Import or ast.ImportFrom
        In the order of the text.
    """
    stack: list[Any] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        if not hasattr(node, "body") and not hasattr(node, "cases"):
            continue
        for part in ("finalbody", "orelse", "handlers", "cases", "body"):
            statements = getattr(node, part, None)
            if isinstance(statements, list):
                stack.extend(reversed(statements))


def imported_modules(statements: Iterable[Import]) -> tuple[str, ...]:
    """List the top-level names of the modules that import statements name.

    Parameters
    ----------
    statements : iterable of ast.Import or ast.ImportFrom
        Those of a cell.

    Returns
    -------
    tuple of str
        In order of first appearance; relative imports name no module.

    Examples
    --------
    >>> tree = ast.parse("import numpy as np\\nfrom sklearn.svm import SVC")
    >>> imported_modules(import_statements(tree))
    ('numpy', 'sklearn')
    """
    found: dict[str, None] = {}
    for statement in statements:
        if isinstance(statement, ast.Import):
            found.update((alias.name.split(".")[0], None) for alias in statement.names)
        elif statement.module and not statement.level:
            found[statement.module.split(".")[0]] = None
    return tuple(found)

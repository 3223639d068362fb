"""Turns a cell's text into a syntax tree or says what is no Python in it; compiles, never runs."""

from __future__ import annotations

import ast
import re
import warnings

from kernelext.cell.edits import Parser
from kernelext.cell.magics import PlainCell, named_line, to_python
from kernelext.errors import CellSyntaxError

_FILENAME = "<cell>"
_TREE_FLAGS = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
_LINE_END = re.compile(r"\r\n|\r|\n")


def parse(source: str) -> tuple[ast.Module, PlainCell]:
    """Read a cell's text as Python, magics and shell lines as what they read and bind.

    Parameters
    ----------
    source : str
        The cell without its own `%%remote` line.

    Returns
    -------
    ast.Module
        Top-level `await`, `async for` and `async with` are allowed.
    PlainCell
        The text that was read.

    Raises
    ------
    CellSyntaxError
        Python refuses the text, or a magic makes no sense on another machine.
    """
    plain = to_python(source)
    with warnings.catch_warnings():
        # A SyntaxWarning is for the run to show, once and at its own place.
        warnings.simplefilter("ignore")
        try:
            tree = _parser.parse(plain.text)
        except SyntaxError as error:
            raise _explain(source, plain, error) from error
        except (MemoryError, OverflowError, RecursionError, ValueError) as error:
            raise CellSyntaxError(f"Python cannot read the cell: {error}", line=1) from error
    return tree, plain


def _compile(text: str) -> ast.Module:
    tree = compile(text, _FILENAME, "exec", _TREE_FLAGS, dont_inherit=True)
    assert isinstance(tree, ast.Module)
    # `return` outside a function and the like are found only by compiling.
    compile(tree, _FILENAME, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    return tree


_parser = Parser(_compile)


def _explain(source: str, plain: PlainCell, error: SyntaxError) -> CellSyntaxError:
    lines = _LINE_END.split(source)
    line = error.lineno or 1
    text = lines[line - 1] if line <= len(lines) else (error.text or "").rstrip("\n")
    if line in plain.magics:
        column = len(text) - len(text.lstrip()) + 1
        message = f"{error.msg} in {named_line(line, text)}"
        return CellSyntaxError(message, line=line, column=column, text=text)
    return CellSyntaxError(error.msg, line=line, column=error.offset or 1, text=text)

"""Turns a cell's text into a syntax tree or says what is no Python in it; compiles, never runs."""

from __future__ import annotations

import ast
import re
import warnings

from kernelext.errors import CellSyntaxError

_FILENAME = "<cell>"
_TREE_FLAGS = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
_LINE_END = re.compile(r"\r\n|\r|\n")
_HELP = re.compile(r"\?{0,2}[\w.*%\[\]'\"]+\?{1,2}|\?{1,2}[\w.*%]+")
_ASSIGNED = re.compile(r"[\w.,* \[\]'\"]+=\s*(?P<command>[%!].*)")


def parse(source: str) -> ast.Module:
    """Read a cell's text as plain Python.

    Parameters
    ----------
    source : str
        The cell without its own `%%remote` line.

    Returns
    -------
    ast.Module
        Top-level `await`, `async for` and `async with` are allowed.

    Raises
    ------
    CellSyntaxError
        Python refuses the text; the message names a magic or a shell line if that is the cause.
    """
    with warnings.catch_warnings():
        # A SyntaxWarning is for the run to show, once and at its own place.
        warnings.simplefilter("ignore")
        try:
            tree = compile(source, _FILENAME, "exec", _TREE_FLAGS, dont_inherit=True)
            # `return` outside a function and the like are found only by compiling.
            compile(tree, _FILENAME, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        except SyntaxError as error:
            raise _explain(source, error) from error
        except (MemoryError, OverflowError, RecursionError, ValueError) as error:
            raise CellSyntaxError(f"Python cannot read the cell: {error}", line=1) from error
    assert isinstance(tree, ast.Module)
    return tree


def _explain(source: str, error: SyntaxError) -> CellSyntaxError:
    lines = _LINE_END.split(source)
    line = error.lineno or 1
    for number in (line, *range(1, len(lines) + 1)):
        message = _name_magic(lines, number)
        if message is not None and _is_cause(lines, number, line):
            text = lines[number - 1]
            return CellSyntaxError(message, line=number, column=_indent(text) + 1, text=text)
    text = lines[line - 1] if line <= len(lines) else (error.text or "").rstrip("\n")
    return CellSyntaxError(error.msg, line=line, column=error.offset or 1, text=text)


def _is_cause(lines: list[str], number: int, error_line: int) -> bool:
    """Tell whether the error goes away, or further down, without a line.

    A line within a text or within brackets may look like a magic too.
    """
    stand_in = " " * _indent(lines[number - 1]) + "pass"
    try:
        compile(
            "\n".join((*lines[: number - 1], stand_in, *lines[number:])),
            _FILENAME,
            "exec",
            _TREE_FLAGS,
        )
    except SyntaxError as error:
        return (error.lineno or 0) > max(number, error_line)
    return True


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip())


def _name_magic(lines: list[str], number: int) -> str | None:
    text = lines[number - 1].strip() if 0 < number <= len(lines) else ""
    assigned = _ASSIGNED.fullmatch(text)
    command = assigned.group("command") if assigned else text
    if command.startswith("%%"):
        kind, advice = "a cell magic", "remove it"
    elif command.startswith("%"):
        kind, advice = "a line magic", "run it in a cell of its own, without %%remote"
    elif command.startswith("!"):
        kind, advice = "a shell line", "use subprocess.run"
    elif _HELP.fullmatch(text):
        kind, advice = "a help line", "ask in a cell of its own, without %%remote"
    else:
        return None
    return f"line {number}, `{text}`, is {kind}: a remote cell is plain Python; {advice}"

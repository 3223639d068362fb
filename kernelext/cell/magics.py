"""Finds the lines that are IPython's own and puts Python in their place, to be read, never run.

The Python reads and binds what the line does, on the same line; what is shipped is the original.
"""

from __future__ import annotations

import io
import re
import tokenize
from dataclasses import dataclass

from kernelext.cell.standins import NotRemote, cell_stand_in, line_stand_in
from kernelext.errors import CellSyntaxError

_LINE_END = re.compile(r"\r\n|\r|\n")
_MAY_HAVE_MAGIC = re.compile(r"^[^\S\n]*[%!?]|=\s*[%!]|\?[^\S\n]*\r?$", re.MULTILINE)
_HELP = re.compile(r"\?{0,2}[\w.*%\[\]'\"]+\?{1,2}|\?{1,2}[\w.*%]+")
_ASSIGNED = re.compile(r"(?P<target>[\w.,* \[\]'\"]+)=\s*(?P<command>[%!].*)", re.DOTALL)


@dataclass(frozen=True)
class PlainCell:
    """A cell as plain Python.

    Attributes
    ----------
    text : str
        Of as many lines as the cell.
    magics : dict of int to str
        The lines that were replaced, by their number from 1.
    """

    text: str
    magics: dict[int, str]

    @property
    def first_magic(self) -> str:
        """The first line that needs IPython, as a message names it; empty for none."""
        return next((named_line(number, line) for number, line in self.magics.items()), "")


def named_line(number: int, line: str) -> str:
    """Name a line of a cell in a message."""
    return f"line {number}, `{line.strip()}`"


def to_python(source: str) -> PlainCell:
    """Put Python in the place of magics, shell lines and help lines.

    Parameters
    ----------
    source : str
        The cell without its own `%%remote` line.

    Returns
    -------
    PlainCell

    Raises
    ------
    CellSyntaxError
        A magic that makes no sense on another machine.
    """
    if not _MAY_HAVE_MAGIC.search(source):
        return PlainCell(source, {})
    lines = _LINE_END.split(source)
    magics: dict[int, str] = {}
    own = int(lines[0].startswith("# %%"))  # what stands for the line of `%%remote`
    first = next((n for n in range(own, len(lines)) if lines[n].strip()), 0)
    while lines[first].lstrip().startswith("%%") and not _is_help(lines[first]):
        number = first + 1
        magics[number] = lines[first]
        try:
            before, body = cell_stand_in(lines[first], lines[number:])
        except NotRemote as error:
            raise _refused(number, lines[first], error) from error
        lines[first:] = [before, *body]
        first = number
        if first >= len(lines):
            break
    _replace_lines(lines, first, magics)
    return PlainCell("\n".join(lines), magics)


def _is_help(line: str) -> bool:
    return _HELP.fullmatch(line.strip()) is not None


def _replace_lines(lines: list[str], first: int, magics: dict[int, str]) -> None:
    start = first  # of a logical line at or before the next candidate
    number = first
    while number < len(lines):
        command = _command(lines[number])
        if command is None or _is_open(lines[start:number]):
            number += 1
            continue
        end = number + 1
        while lines[end - 1].endswith("\\") and end < len(lines) and not _is_help(command):
            end += 1
        text = "\n".join(lines[number:end])
        indent = text[: len(text) - len(text.lstrip())]
        target, command = _split(text.replace("\\\n", " ").strip())
        magics[number + 1] = lines[number]
        try:
            stand_in = line_stand_in(target, command)
        except NotRemote as error:
            raise _refused(number + 1, lines[number], error) from error
        lines[number:end] = [indent + stand_in] + [""] * (end - number - 1)
        start = number = end


def _refused(number: int, line: str, error: NotRemote) -> CellSyntaxError:
    return CellSyntaxError(f"{named_line(number, line)}, {error}", line=number, text=line)


def _command(line: str) -> str | None:
    text = line.strip()
    if text.startswith(("%", "!")) or _is_help(text) or _ASSIGNED.fullmatch(text):
        return text
    return None


def _split(text: str) -> tuple[str, str]:
    assigned = _ASSIGNED.fullmatch(text)
    if assigned:
        return assigned["target"].strip(), assigned["command"].strip()
    return "", text


def _is_open(lines: list[str]) -> bool:
    """Tell whether a text stops within brackets, quotes or a continued line."""
    if lines and lines[-1].endswith("\\"):
        return True
    try:
        for _ in tokenize.generate_tokens(io.StringIO("\n".join(lines) + "\n").readline):
            pass
    except tokenize.TokenError as error:
        return "EOF" in str(error) or "triple-quoted" in str(error)
    except SyntaxError:
        return False
    return False

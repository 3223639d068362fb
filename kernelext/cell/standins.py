"""Says which Python reads and binds the names that one magic or shell line does."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Sequence
from keyword import iskeyword

_DOLLAR = re.compile(r"\$(\$?[^\W\d][\w.]*)")
_OPTIONS = re.compile(r"(?:-{1,2}\w[\w=-]*(?:\s+\d+)?\s+)*")
_PROFILER_OPTIONS = re.compile(r"(?:-[Dflmstu]\s*\S+\s+|-\w+\s+)*", re.IGNORECASE)
_NAME = re.compile(r"[^\W\d]\w*")
_OUT_OPTION = re.compile(r"--(?:out|err|proc)[ =]([^\W\d]\w*)")

# Their text is Python of the cell itself.
CODE_MAGICS = frozenset(("lprun", "memit", "mprun", "prun", "time", "timeit"))
# Below these the cell is Python of the cell itself.
CODE_CELLS = frozenset((*CODE_MAGICS, "capture"))
# These speak of the notebook's own kernel, its history or its keyboard.
_OF_NOTEBOOK = frozenset(
    (
        "connect_info", "debug", "edit", "folds", "gui", "hist", "history", "load", "loadpy",
        "logoff", "logon", "logstart", "logstate", "logstop", "macro", "notebook", "pastebin",
        "pdb", "qtconsole", "recall", "remote", "rep", "rerun", "reset", "reset_selective",
        "save", "store", "xdel",
    )
)  # fmt: skip


class NotRemote(Exception):
    """A magic that makes no sense on another machine.

    Parameters
    ----------
    message : str
        Why, as the end of a sentence that begins with the line.
    """


def line_stand_in(target: str, command: str) -> str:
    """Return one line of Python for a line magic, a shell line or a help line.

    Parameters
    ----------
    target : str
        What the line assigns to; empty for none.
    command : str
        The rest, from its ``%``, ``!`` or ``?`` on.

    Raises
    ------
    NotRemote
    """
    if command.startswith("!"):
        return _assign(target, _tuple(_expanded(command.lstrip("!"))))
    if command.startswith("%%"):
        raise NotRemote("is a cell magic: it has to come first, right below `%%remote`")
    if command.startswith("?") or command.endswith("?"):
        root = _NAME.match(command.strip("?"))
        return root[0] if root and "*" not in command and not iskeyword(root[0]) else "pass"
    name, _, rest = command[1:].partition(" ")
    _refuse(name, rest)
    if name in CODE_MAGICS:
        return _code_stand_in(target, name, rest)
    return _assign(target, _tuple(_expanded(rest)))


def cell_stand_in(line: str, body: Sequence[str]) -> tuple[str, list[str]]:
    """Return Python for a cell magic: its own line, and the lines of its body.

    Raises
    ------
    NotRemote
    """
    name, _, rest = line.strip()[2:].partition(" ")
    _refuse(name, rest)
    if name == "capture":
        out = [word for word in rest.split() if not word.startswith("-")]
        return (f"{out[0]} = None" if out else "pass"), list(body)
    if name in CODE_CELLS:
        setup = _without_options(name, rest)
        return (setup if setup and _is_code(setup) else "pass"), list(body)
    bound = "".join(f"; {found} = None" for found in _OUT_OPTION.findall(rest))
    return _tuple(_expanded(rest)) + bound, [""] * len(body)


def _refuse(name: str, rest: str) -> None:
    if name == "load_ext" and rest.strip() == "kernelext":
        raise NotRemote("belongs to the notebook: a remote cell starts no other; leave it out")
    if name.rstrip("?") in _OF_NOTEBOOK:
        raise NotRemote(
            "is about the notebook itself: run it in a cell of its own, without %%remote"
        )


def _code_stand_in(target: str, name: str, rest: str) -> str:
    code = _without_options(name, rest)
    if code.startswith(("!", "%")):
        return line_stand_in(target, code)
    if not code:
        return _assign(target, "None")
    if not target:
        # What `%timeit` binds stays within it: as in a branch, the name may be the old one.
        branch = f"if not 0: {code}"
        return branch if name != "time" and _is_code(branch) else code
    if _is_code(f"({code})"):
        return f"{target} = ({code})"
    return f"{code}; {target} = None"


def _without_options(magic: str, text: str) -> str:
    options = _PROFILER_OPTIONS if magic in ("lprun", "mprun", "prun") else _OPTIONS
    found = options.match(text.strip() + " ")
    return text.strip()[found.end() if found else 0 :].strip()


def _expanded(text: str) -> list[str]:
    """List the expressions that IPython puts into a command: `{a + b}` and `$name`."""
    found = []
    try:
        for literal, field, _, _ in string.Formatter().parse(text):
            found += [name.rstrip(".") for name in _DOLLAR.findall(literal) if name[0] != "$"]
            if field:
                found.append(field)
    except ValueError:  # braces of the shell's own: IPython leaves all as it is
        return []
    return [each for each in found if _is_code(f"({each})")]


def _is_code(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    return True


def _tuple(expressions: list[str]) -> str:
    return "(" + "".join(f"({each}), " for each in expressions) + ")"


def _assign(target: str, value: str) -> str:
    return f"{target} = {value}" if target else value

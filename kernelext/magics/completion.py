"""Tab in the first line of a cell of ours, as a matcher of IPython's completer."""

from __future__ import annotations

import importlib
import logging
import os
import re
from pathlib import Path
from typing import Any

from IPython.core.completer import SimpleCompletion

from kernelext.errors import KernelExtError
from kernelext.verbs.completing import (
    Choice,
    Surroundings,
    complete_cell_line,
    complete_command_line,
    own_names,
)

CELL = re.compile(r"%%(remote|folds)\s(.*)", re.DOTALL)
COMMAND = re.compile(r"\s*%remote\s(.*)", re.DOTALL)
NOTHING: dict[str, Any] = {"completions": []}

log = logging.getLogger(__name__)


def match(shell: Any, context: Any) -> dict[str, Any]:
    """Complete the line of a magic of ours, for IPython's matchers of version 2."""
    try:
        return _match(shell, context)
    except (KernelExtError, OSError) as exc:
        log.debug("completion.failed reason=%s", exc)
        return NOTHING


def _match(shell: Any, context: Any) -> dict[str, Any]:
    text = context.text_until_cursor
    cell = CELL.fullmatch(text) if context.cursor_line == 0 else None
    command = COMMAND.fullmatch(text)
    if cell is None and command is None:
        return NOTHING
    line = cell[2] if cell else command[1] if command else ""
    words, last = _split(line)
    names = own_names(shell.user_ns, shell.user_ns_hidden)
    here = Surroundings(Path.cwd(), dict(os.environ), names)
    if cell:
        choices = complete_cell_line(cell[1], words, last, here)
    else:
        choices = _commands(words, last, here)
    return {
        "completions": [SimpleCompletion(each.text, type=each.kind) for each in choices],
        "matched_fragment": last,
        "ordered": True,
        "suppress": True,
    }


def _commands(words: list[str], last: str, here: Surroundings) -> list[Choice]:
    # Its import takes longer than a Tab in a cell's line may.
    commands = importlib.import_module("kernelext.verbs.commands")
    return complete_command_line(commands.command_parser("%remote"), words, last, here)


def _split(line: str) -> tuple[list[str], str]:
    *words, last = re.split(r"\s+", line.lstrip())
    return words, last

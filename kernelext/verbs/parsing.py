"""Argument parsing that never ends the process: a mistake is an `OptionError`."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from typing import Any, NoReturn

from kernelext.errors import OptionError


class HelpShown(Exception):
    """The user asked for help; its text is the message."""


class ProblemsShown(HelpShown):
    """What was asked for is shown, and it holds problems: a console's exit code is not zero."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are sentences."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Raise instead of leaving."""
        raise OptionError(f"{message}; `{self.prog} --help` explains")

    def print_help(self, file: Any = None) -> None:
        """Raise the text instead of printing it."""
        raise HelpShown(self.format_help())


def split_line(line: str) -> Sequence[str]:
    """Split a magic's line into words, as a shell does.

    Raises
    ------
    OptionError
        An open quote.
    """
    try:
        return shlex.split(line)
    except ValueError as exc:
        raise OptionError(f"the line cannot be read: {exc}") from exc


def split_names(text: str) -> tuple[str, ...]:
    """Split ``a,b c`` into names."""
    return tuple(text.replace(",", " ").split())

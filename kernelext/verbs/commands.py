"""All verbs, for the line magic and the console."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Protocol

from kernelext.verbs import cancel, doctor, fetch, gc, hosts, image, logs, runs, trust
from kernelext.verbs.context import Context
from kernelext.verbs.parsing import Parser


class Verb(Protocol):
    """A module of this room."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Define the options."""

    def run(self, context: Context, options: argparse.Namespace) -> str:
        """Carry it out and return its text."""


VERBS: dict[str, Verb] = {
    "hosts": hosts,
    "runs": runs,
    "logs": logs,
    "cancel": cancel,
    "fetch": fetch,
    "gc": gc,
    "doctor": doctor,
    "image": image,
    "trust": trust,
}


def command_parser(program: str) -> Parser:
    """Make the parser of all verbs."""
    parser = Parser(program, description="Run notebook cells on machines of your own.")
    commands = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, verb in VERBS.items():
        verb.add_arguments(commands.add_parser(name, help=verb.HELP, description=verb.HELP))
    return parser


def run_command(context: Context, program: str, words: Sequence[str]) -> str:
    """Carry out a verb and return its text.

    Raises
    ------
    OptionError
        With the mistake.
    HelpShown
        When the user asked for it, or for nothing.
    KernelExtError
        What the verb says.
    """
    options: argparse.Namespace = command_parser(program).parse_args(list(words) or ["--help"])
    return VERBS[options.verb].run(context, options)

"""``image``: builds the project's image on hosts, and lists what there is."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from kernelext.errors import ImageBuildError
from kernelext.verbs.context import Context
from kernelext.verbs.environments import IMPORTS, environment_of, note_imports
from kernelext.verbs.size import size_text

HELP = "build the project's image: what it imports or asks for, in the versions of this machine"
REDRAW_S = 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    build = actions.add_parser("build", help="build it now; else the first cell does")
    build.add_argument("--on", metavar="HOSTS", help="hosts, with commas; the default host if none")


def run(context: Context, options: argparse.Namespace) -> str:
    """Carry out an action and return its text.

    Raises
    ------
    ImageBuildError, HostError, LinkError
    """
    return ACTIONS[options.action](context, options)


def _build(context: Context, options: argparse.Namespace) -> str:
    table = context.settings.environment
    lines = []
    if table is None or table.source == IMPORTS:
        unknown = note_imports(context).unknown
        if unknown:
            lines.append(f"not installed here, and left out: {', '.join(unknown)}")
    environment = environment_of(context)
    assert environment is not None
    names = options.on.split(",") if options.on else [context.settings.default_host]
    for name in names:
        host = context.host(name)
        if host.is_local:
            raise ImageBuildError(
                "`local` runs cells with this machine's own Python and needs no image; name a host"
                " with --on"
            )
        begun_s = time.monotonic()
        with context.links.separate(host) as link:
            progress = Progress(name)
            recipe = environment.build(link, progress.show, lambda: None)
            progress.end()
            facts = link.image(recipe.tag)
        size = size_text(sum(wheel.size_bytes for wheel in recipe.wheels))
        lines.append(
            f"{name} has {recipe.tag} ({facts.digest[:19]}): {len(recipe.wheels)} wheels,"
            f" {size}, over {recipe.base or 'its default image'}; Python {facts.python};"
            f" {time.monotonic() - begun_s:.1f} s"
        )
    return "\n".join(lines)


class Progress:
    """A line that says what is being done."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._said = ""
        self._drawn_s = 0.0

    def show(self, step: str) -> None:
        """Show a step, where it is another one."""
        if step != self._said and time.monotonic() - self._drawn_s > REDRAW_S:
            self._said, self._drawn_s = step, time.monotonic()
            sys.stderr.write(f"\r\x1b[K{self._host}: {step}")
            sys.stderr.flush()

    def end(self) -> None:
        """Take the line away."""
        if self._said:
            sys.stderr.write("\r\x1b[K")


ACTIONS: dict[str, Callable[[Context, argparse.Namespace], str]] = {"build": _build}

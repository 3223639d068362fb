"""What may come next on a line, from the history and files alone; never a connection."""

from __future__ import annotations

import argparse
import keyword
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kernelext.history import History, history_path
from kernelext.hosts import find_project, known_hosts_names, load_settings
from kernelext.image.reading import SOURCES as IMAGE_SOURCES
from kernelext.image.recipes import recipe_names
from kernelext.verbs.celloptions import cell_parser
from kernelext.verbs.environments import IMPORTS

RUNS_SHOWN = 50
TITLE_LENGTH = 40


@dataclass(frozen=True)
class Choice:
    """One completion of a word, and what it is."""

    text: str
    kind: str


@dataclass(frozen=True)
class Surroundings:
    """Where the line is typed.

    Attributes
    ----------
    folder : Path
    environ : mapping
    names : mapping of str to object
        The notebook's variables.
    """

    folder: Path
    environ: Mapping[str, str]
    names: Mapping[str, object] = field(default_factory=dict)

    def hosts(self) -> list[Choice]:
        """Return the hosts that have a name."""
        settings = load_settings(find_project(self.folder) or self.folder, self.environ)
        return [Choice(host.name, "host") for host in known_hosts_names(settings, self.environ)]

    def runs(self) -> list[Choice]:
        """Return the newest runs."""
        path = history_path(self.environ)
        if not path.exists():
            return [Choice("last", "run")]
        with History.open(path) as history:
            newest = history.runs(limit=RUNS_SHOWN)
        runs = [Choice(run.id, run.title[:TITLE_LENGTH] or "run") for run in newest]
        return [Choice("last", "run"), *runs]

    def variables(self) -> list[Choice]:
        """Return the notebook's own names."""
        return [
            Choice(name, type(value).__name__)
            for name, value in sorted(self.names.items())
            if not name.startswith("_") and not keyword.iskeyword(name)
        ]

    def outputs(self) -> list[Choice]:
        """Return what ``--out`` takes."""
        return [Choice("none", "keyword"), *self.variables()]

    def recipes(self) -> list[Choice]:
        """Return what an image can be made of: the project's files, recipes of kernelext."""
        project = find_project(self.folder) or self.folder
        files = [name for name in IMAGE_SOURCES if name == IMPORTS or (project / name).exists()]
        recipes = [Choice(name, "recipe") for name in recipe_names()]
        return [*(Choice(name, "source") for name in files), *recipes]

    def environment(self) -> list[Choice]:
        """Return the names of environment variables."""
        return [Choice(name, "variable") for name in sorted(self.environ)]


# By the argument's dest; lists are separated by commas.
SOURCES: dict[str, Callable[[Surroundings], list[Choice]]] = {
    "on": Surroundings.hosts,
    "host": Surroundings.hosts,
    "hosts": Surroundings.hosts,
    "inputs": Surroundings.variables,
    "outputs": Surroundings.outputs,
    "env": Surroundings.environment,
    "recipe": Surroundings.recipes,
    "run": Surroundings.runs,
}
LISTS = frozenset({"on", "inputs", "outputs", "env"})


def complete_cell_line(kind: str, words: list[str], last: str, here: Surroundings) -> list[Choice]:
    """Complete the last word of a magic's line.

    Parameters
    ----------
    kind : str
        ``remote`` or ``folds``.
    words : list of str
        The whole words before it.
    last : str
        As far as it is typed.
    here : Surroundings

    Returns
    -------
    list of Choice
        Whole words that begin with `last`.
    """
    return _complete(cell_parser(kind), words, last, here)


def complete_command_line(
    parser: argparse.ArgumentParser, words: list[str], last: str, here: Surroundings
) -> list[Choice]:
    """Complete the last word of a verb's line; `parser` is that of verbs or actions."""
    below = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    if not below:
        return _complete(parser, words, last, here)
    verbs = below[0].choices
    if not words:
        return _beginning(last, [Choice(name, "verb") for name in verbs])
    if words[0] not in verbs:
        return []
    return complete_command_line(verbs[words[0]], words[1:], last, here)


def _complete(
    parser: argparse.ArgumentParser, words: list[str], last: str, here: Surroundings
) -> list[Choice]:
    actions = parser._actions
    options = {name: action for action in actions for name in action.option_strings}
    waiting = options.get(words[-1]) if words else None
    if waiting is not None and waiting.nargs is None:
        return _values(waiting, last, here)
    if last.startswith("-"):
        given = {options[word] for word in words if word in options}
        known = [name for name, action in options.items() if action not in given]
        return _beginning(last, [Choice(name, "option") for name in known if name[:2] == "--"])
    return _values(_positional(actions, words, options), last, here)


def _positional(
    actions: Iterable[argparse.Action], words: list[str], options: Mapping[str, argparse.Action]
) -> argparse.Action | None:
    """Return the positional argument that the next word belongs to."""
    places = [action for action in actions if not action.option_strings]
    position, takes_value = 0, False
    for word in words:
        if takes_value:
            takes_value = False
        elif word in options:
            takes_value = options[word].nargs is None
        else:
            position += 1
    if places and position >= len(places):
        return places[-1] if places[-1].nargs == "*" else None
    return places[position] if places else None


def _values(action: argparse.Action | None, last: str, here: Surroundings) -> list[Choice]:
    if action is None:
        return []
    # The hosts of the verbs are called names, after their metavar.
    dest = "hosts" if action.metavar == "HOST" else action.dest
    source = SOURCES.get(dest)
    if source is None:
        return []
    done, comma, begun = last.rpartition(",") if dest in LISTS else ("", "", last)
    taken = set(done.split(","))
    return [
        Choice(done + comma + each.text, each.kind)
        for each in source(here)
        if each.text.startswith(begun) and each.text not in taken
    ]


def _beginning(last: str, choices: list[Choice]) -> list[Choice]:
    return [choice for choice in choices if choice.text.startswith(last)]


def own_names(namespace: Mapping[str, Any], hidden: Mapping[str, Any]) -> dict[str, object]:
    """Return a notebook's variables without those that IPython put there."""
    return {
        name: value
        for name, value in namespace.items()
        if not (name in hidden and hidden[name] is value)
    }

"""The options of a cell, defined once for all magics."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from kernelext.errors import OptionError
from kernelext.hosts import is_variable, parse_duration_s, parse_size_bytes
from kernelext.models import ALL_GPUS, Limits
from kernelext.runner.scripts import LANGUAGES
from kernelext.verbs.parsing import Parser, split_line, split_names

MAX_FOLDS = 10_000
LEAST_MEMORY_BYTES = 16 * 1024**2  # Python itself needs about that much
FOLD_RANGE = re.compile(r"(\d+)(?:-(\d+)(?::(\d+))?)?")

DESCRIPTIONS = {
    "remote": """\
Run this cell on a host, in a throw-away container, as if it ran here.

The variables that the cell reads and the project's files travel with it; its output
streams back; the names it binds, and variables that it changed, are bound here.

  %%remote host01
  model = SVC(**params).fit(X, y)
""",
    "folds": """\
Run this cell once a fold, side by side, with `fold` set to its number.

The names that the cell binds come back as {fold: value}.

  %%folds 0-4 --on host01,host02
  train, valid = splits[fold]
  score = SVC(**params).fit(X[train], y[train]).score(X[valid], y[valid])
""",
}


@dataclass(frozen=True)
class CellOptions:
    """The options of one cell, as the user gave them.

    Attributes
    ----------
    kind : str
        ``remote`` or ``folds``.
    hosts : tuple of str
        Empty: the default host.
    folds : tuple of int
    inputs, outputs : tuple of str or None
        None: found by reading the cell.
    image : str or None
    limits : Limits
    env : tuple of str
    name : str or None
    sync : str
        ``in`` sends the project's files, ``out`` brings changed ones home; ``both``, ``none``.
    dry_run : bool
        Whether to say only what would be done.
    language : str
        Of the cell, where it is not Python.
    """

    kind: str
    hosts: tuple[str, ...]
    folds: tuple[int, ...]
    inputs: tuple[str, ...] | None
    outputs: tuple[str, ...] | None
    image: str | None
    limits: Limits
    env: tuple[str, ...]
    name: str | None
    sync: str = "both"
    dry_run: bool = False
    language: str = ""

    @property
    def sends_files(self) -> bool:
        """Whether the project's files travel with the cell."""
        return self.sync in ("in", "both")

    @property
    def brings_files(self) -> bool:
        """Whether files that the cell has changed come home."""
        return self.sync in ("out", "both")


@functools.cache
def cell_parser(kind: str) -> Parser:
    """Make the parser of ``%%remote`` or ``%%folds``."""
    parser = Parser(f"%%{kind}", description=DESCRIPTIONS[kind])
    if kind == "folds":
        parser.add_argument("folds", metavar="FOLDS", help="0-4, or 0,2,4, or 0-9:2")
    else:
        parser.add_argument("host", nargs="?", metavar="HOST", help="the same as --on HOST")
    add_list(parser, "--on", "on", "HOSTS", "hosts, separated by commas")
    add_list(parser, "--in", "inputs", "NAMES", "send exactly these variables")
    add_list(
        parser, "--out", "outputs", "NAMES|none", "bring home exactly these variables, or none"
    )
    parser.add_argument("--image", metavar="IMG", help="container image")
    parser.add_argument("--cpus", metavar="N", type=float, help="cores of a fold")
    parser.add_argument("--memory", metavar="SIZE", help="memory limit of a fold, as 8g or 500m")
    parser.add_argument("--gpus", metavar="N|all", help="GPUs of a fold, its own while it runs")
    add_list(parser, "--env", "env", "NAMES", "environment variables to pass on")
    parser.add_argument("--timeout", metavar="TIME", help="stop a fold after this, as 90s or 2h")
    parser.add_argument(
        "--sync",
        choices=("in", "out", "both", "none"),
        default="both",
        help="the project's files: in sends them, out brings home what the cell writes below"
        " data/working and data/output; both is the default",
    )
    parser.add_argument(
        "--lang",
        choices=("python", *LANGUAGES),
        default="python",
        help="what the cell is written in; of another language files travel, and no variables",
    )
    parser.add_argument("--name", metavar="NAME", help="what the run is called in the history")
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be sent; send nothing"
    )
    return parser


def add_list(parser: Parser, option: str, dest: str, metavar: str, text: str) -> None:
    """Add an option that takes names; given twice, it takes the names of both."""
    parser.add_argument(option, dest=dest, metavar=metavar, help=text, action="append")


def parse_cell_options(kind: str, line: str) -> CellOptions:
    """Read a magic's line.

    Raises
    ------
    OptionError
        With the mistake and the way to the help.
    HelpShown
        When the user asked for it.
    """
    found = cell_parser(kind).parse_args(split_line(line))
    hosts = _names(found.on) or ()
    host = getattr(found, "host", None)
    if host:
        if hosts:
            raise OptionError(f"the host is given twice: {host} and --on {','.join(hosts)}")
        hosts = split_names(host)
    if kind == "remote" and len(hosts) > 1:
        raise OptionError(
            f"%%remote runs on one host, not on {len(hosts)};"
            " %%folds 0-4 --on a,b spreads a cell over several"
        )
    if len(set(hosts)) < len(hosts):
        raise OptionError(f"a host is named twice in {','.join(hosts)}")
    if found.cpus is not None and not 0 < found.cpus <= 10_000:
        raise OptionError(f"--cpus {found.cpus:g} cannot be; it is a number of cores, as 2 or 0.5")
    env = _names(found.env) or ()
    wrong = [name for name in env if not is_variable(name)]
    if wrong:
        # Not the text: it may hold a value.
        raise OptionError("--env takes names of variables that are set here, as --env TOKEN,USER")
    outputs = _names(found.outputs)
    if found.lang != "python" and (found.inputs or outputs):
        raise OptionError(
            f"a cell of {found.lang} takes and leaves files, no variables: leave out --in and --out"
        )
    if outputs is not None and "none" in outputs and len(outputs) > 1:
        raise OptionError("--out none brings nothing home; write it alone, or only the names")
    return CellOptions(
        kind=kind,
        hosts=hosts,
        folds=parse_folds(found.folds) if kind == "folds" else (),
        inputs=_names(found.inputs),
        outputs=() if outputs == ("none",) else outputs,
        image=found.image,
        limits=Limits(
            cpus=found.cpus,
            memory_bytes=parse_memory_bytes(found.memory) if found.memory else None,
            timeout_s=parse_duration_s(found.timeout) if found.timeout else None,
            gpus=parse_gpus(found.gpus) if found.gpus else None,
        ),
        env=env,
        name=found.name,
        sync=found.sync,
        dry_run=found.dry_run,
        language="" if found.lang == "python" else found.lang,
    )


def _names(given: list[str] | None) -> tuple[str, ...] | None:
    return None if given is None else split_names(",".join(given))


def parse_memory_bytes(text: str) -> int:
    """Read a memory limit that is enough for Python to start.

    Raises
    ------
    OptionError
    """
    size = parse_size_bytes(text)
    if size < LEAST_MEMORY_BYTES:
        raise OptionError(
            f"--memory {text} is {size} bytes, too few for a cell;"
            f" give the unit as well, as 8g or 500m (16m at least)"
        )
    return size


def parse_gpus(text: str) -> int:
    """Read a number of GPUs, or `all`.

    Raises
    ------
    OptionError
    """
    if text == "all":
        return ALL_GPUS
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
        raise OptionError(f"--gpus {text} cannot be; it is a number of GPUs, as 1, or all")
    return int(text)


def parse_folds(text: str) -> tuple[int, ...]:
    """Read folds: ``0-4``, ``0,2,4``, ``0-9:2`` and mixtures.

    Raises
    ------
    OptionError

    Examples
    --------
    >>> parse_folds("0-2"), parse_folds("0,2,4"), parse_folds("0-9:3")
    ((0, 1, 2), (0, 2, 4), (0, 3, 6, 9))
    """
    folds: list[int] = []
    for part in split_names(text):
        match = FOLD_RANGE.fullmatch(part)
        if match is None:
            raise OptionError(f"{part!r} are no folds; write 0-4, or 0,2,4, or 0-9:2")
        first, last, step = match.groups()
        if step == "0":
            raise OptionError(f"the step of {part} is 0; write 0-9:2 for every second fold")
        stop = int(last or first)
        if stop < int(first):
            raise OptionError(f"the folds {part} go backwards; write the smaller number first")
        if stop - int(first) >= MAX_FOLDS:
            raise OptionError(f"{part} are more than {MAX_FOLDS} folds")
        folds += range(int(first), stop + 1, int(step or 1))
    if not folds:
        raise OptionError("no folds are given; write 0-4, or 0,2,4, or 0-9:2")
    if len(set(folds)) < len(folds):
        raise OptionError(f"a fold is given twice in {text}")
    return tuple(folds)

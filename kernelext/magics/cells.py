"""The magics themselves: options, a run, its drawing, its names."""

from __future__ import annotations
import __future__

import os
import sys
from pathlib import Path
from typing import Any

from kernelext.magics.binding import bind_folds, bind_remote, say_files
from kernelext.magics.foldgrid import FoldGrid
from kernelext.magics.interrupts import run_interruptible
from kernelext.magics.replay import Replay, StatusLine
from kernelext.models import RunState
from kernelext.runs import FoldResult, Run, fold_error
from kernelext.verbs.celloptions import CellOptions, cell_parser, parse_cell_options
from kernelext.verbs.commands import run_command
from kernelext.verbs.context import Context
from kernelext.verbs.dryrun import dry_run
from kernelext.verbs.parsing import HelpShown, split_line
from kernelext.verbs.submit import Cell, prepare_run


class CellMagics:
    """``%%remote``, ``%%folds`` and ``%remote`` of one shell.

    Parameters
    ----------
    shell : InteractiveShell
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._context = Context(
            Path.cwd(), namespace=shell.user_ns, status_line=lambda: StatusLine().show
        )
        self._said: set[str] = set()

    def close(self) -> None:
        """End the connections."""
        self._context.close()

    def command(self, line: str) -> None:
        """Carry out a verb and print what it says."""
        self._refresh()
        try:
            text = run_command(self._context, "%remote", split_line(line))
        except HelpShown as shown:
            text = str(shown)
        print(text)  # noqa: T201

    def remote(self, line: str, code: str) -> None:
        """Run a cell on one host."""
        options = self._options("remote", line)
        if options is None:
            return
        run = self._prepare(options, line, code)
        if run is None:
            return
        run_interruptible(run, Replay(self._shell, run))
        say_files(run, self._said)
        result = run.results["0"]
        error = fold_error(result, run.plan)
        if error is not None:
            raise error
        bind_remote(self._shell, run)

    def folds(self, line: str, code: str) -> None:
        """Run a cell once a fold."""
        options = self._options("folds", line)
        if options is None:
            return
        run = self._prepare(options, line, code)
        if run is None:
            return
        run_interruptible(run, FoldGrid(run))
        say_files(run, self._said)
        bind_folds(self._shell, run)
        _raise_first(run)

    def _options(self, kind: str, line: str) -> CellOptions | None:
        try:
            return parse_cell_options(kind, line)
        except HelpShown:
            print(cell_parser(kind).format_help())  # noqa: T201
            return None

    def _refresh(self) -> None:
        """Follow the notebook: it may have changed its folder or its environment."""
        self._context.look_again(Path.cwd(), os.environ)

    def _prepare(self, options: CellOptions, line: str, code: str) -> Run | None:
        """Make the run; None where its description was all that was wanted."""
        self._refresh()
        shell = self._shell
        cell = Cell(
            # The magic's line too: tracebacks count lines as the notebook shows them.
            code=f"# %%{options.kind} {line}".rstrip() + f"\n{_without_indent(code)}",
            # IPython 9 counts on before a cell runs; the prompt's number is the cell's in all.
            filename=f"Cell In[{shell.displayhook.prompt_count}]",
            notebook=shell.user_ns.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME"),
            namespace=shell.user_ns,
            hidden=shell.user_ns_hidden,
            futures=_futures(shell.compile.flags),
        )
        if options.dry_run:
            print(dry_run(self._context, cell, options))  # noqa: T201
            return None
        return prepare_run(self._context, cell, options)


def _futures(flags: int) -> tuple[str, ...]:
    """List the features of `__future__` by which IPython compiles from some cell on."""
    features = {name: getattr(__future__, name) for name in __future__.all_feature_names}
    return tuple(name for name, feature in features.items() if flags & feature.compiler_flag)


def _without_indent(code: str) -> str:
    """Take the first line's indent off all lines, as IPython does with a pasted cell."""
    lines = code.splitlines(keepends=True)
    first = next((line for line in lines if line.strip()), "")
    indent = first[: len(first) - len(first.lstrip(" \t"))]
    return "".join(line[len(indent) :] if line.startswith(indent) else line for line in lines)


def _raise_first(run: Run) -> None:
    """Raise the first fold's error, and say which other folds failed."""
    failed: list[FoldResult] = [
        result for result in run.results.values() if result.end.state is not RunState.DONE
    ]
    if not failed:
        return
    failed.sort(key=lambda result: list(run.plan.folds).index(result.attempt.fold))
    error = fold_error(failed[0], run.plan)
    assert error is not None
    names = ", ".join(result.attempt.fold for result in failed)
    first = f"fold {failed[0].attempt.fold} on {failed[0].host}"
    done = len(run.results) - len(failed)
    sys.stderr.write(
        f"{len(failed)} of {len(run.results)} folds failed: {names}; {done} ended well and are"
        f" bound. Below is {first}; each fold's output: %remote logs {run.plan.run}\n"
    )
    raise error

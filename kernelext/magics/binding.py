"""Binds a run's results to the notebook's names."""

from __future__ import annotations

import sys
from typing import Any

from kernelext.errors import PickleKept, ValueCodecError
from kernelext.models import RunState
from kernelext.runs import FoldResult, Run, StoredValue
from kernelext.values import decode

# A module may raise anything while it is imported here; these are what libraries do raise.
UNREADABLE = (ValueCodecError, ImportError, OSError, RuntimeError, AttributeError)


def bind_remote(shell: Any, result: FoldResult) -> None:
    """Bind every result of the one fold; names that the cell deleted go."""
    for name, stored in result.values.items():
        try:
            shell.user_ns[name] = _decoded(shell, stored, result)
        except UNREADABLE as exc:
            _say_unread(name, exc, result)
    for name in result.deleted:
        shell.user_ns.pop(name, None)
    _say_left(result)


def bind_folds(shell: Any, run: Run) -> None:
    """Bind every name to a dict of fold -> value, of the folds that are done; a module plainly."""
    gathered: dict[str, dict[int, object]] = {}
    for fold in run.plan.folds:
        result = run.results[fold]
        if result.end.state is RunState.DONE:
            for name, stored in result.values.items():
                try:
                    value = _decoded(shell, stored, result)
                except UNREADABLE as exc:
                    _say_unread(name, exc, result)
                    continue
                if stored.ref.codec == "module":
                    shell.user_ns[name] = value  # the same in every fold
                else:
                    gathered.setdefault(name, {})[int(fold)] = value
    for name, values in gathered.items():
        shell.user_ns[name] = values
    for fold in run.plan.folds:
        _say_left(run.results[fold], f"fold {fold}: ")
    changed = {name for result in run.results.values() for name in result.changed}
    if changed:
        names = ",".join(sorted(changed))
        _say(f"The cell changed {names} in its folds; `--out {names}` brings that home.")


def say_files(run: Run) -> None:
    """Say what the user has to know of the files that the cell has changed."""
    for sentence in run.file_notes:
        _say(f"{sentence}.")


def _decoded(shell: Any, stored: StoredValue, result: FoldResult) -> object:
    trusted = result.loads_pickles
    return decode(stored.ref, stored.source, shell.user_ns, loads_pickles=trusted)


def _say_left(result: FoldResult, where: str = "") -> None:
    for name, reason in result.left.items():
        _say(f"{where}{name} stays on {result.host}: {reason}")


def _say_unread(name: str, error: Exception, result: FoldResult) -> None:
    """One value that cannot be read keeps the others from nobody; its bytes are at home."""
    if isinstance(error, PickleKept):
        stored = result.values[name]
        _say(
            f"{name} ({stored.ref.type_name}) stays on disk: it is a pickle, and"
            f' {result.host} has pickles = "keep" in your kernelext.toml. Only if you trust it:'
            f" cloudpickle.load(open({str(stored.source)!r}, 'rb'))"
        )
        return
    if result.values[name].ref.codec == "module":
        _say(f"{name} is not bound here: {error}")
        return
    _say(f"{name} of run {result.attempt.run} came home but cannot be read: {error}")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")

"""Binds a run's results to the notebook's names."""

from __future__ import annotations

import sys
from typing import Any

from kernelext.errors import PickleKept, ValueCodecError
from kernelext.magics.inplace import refill
from kernelext.magics.inplace_together import refill_together
from kernelext.models import RunState
from kernelext.runs import FoldResult, Run, StoredValue
from kernelext.runs.keeping import kept_text
from kernelext.values import decode

# A module may raise anything while it is imported here; these are what libraries do raise.
UNREADABLE = (ValueCodecError, ImportError, OSError, RuntimeError, AttributeError)


def bind_remote(shell: Any, run: Run) -> None:
    """Bind every result of the one fold; inputs that the cell deleted go."""
    result = run.results["0"]
    names: dict[str, object] = shell.user_ns
    together: dict[str, Any] = {}
    unread: set[str] = set()
    for name, stored in result.values.items():
        twin = stored.ref.same_as
        if twin != name and twin in names and twin not in unread:
            names[name] = together[name] = names[twin]
            continue
        try:
            value = _decoded(shell, stored, result, together)
        except UNREADABLE as exc:
            _say_unread(name, exc, result)
            unread.add(name)
            continue
        if stored.ref.is_member:
            value = _together(names, result, stored, together)[name]
        if twin != name or name not in names:
            names[name] = value
        elif stored.ref.is_member or not refill(names[name], value):
            _rebind(shell, name, value)
        together[name] = names[name]  # what holds it is to hold the notebook's own object
    for name in result.deleted:
        if name in run.plan.inputs:
            names.pop(name, None)
    _say_left(result)
    _say_unbound(run)


def _together(
    names: dict[str, object], result: FoldResult, stored: StoredValue, together: dict[str, Any]
) -> dict[str, Any]:
    """Return the variables of a group, with the notebook's own objects where that can be."""
    file_name = stored.ref.file_name
    news: dict[str, Any] = together[file_name]
    first = next(name for name, each in result.values.items() if each.ref.file_name == file_name)
    if stored.ref.name == first:
        same = [name for name, each in result.values.items() if each.ref.same_as == name]
        refill_together(
            {name: names[name] for name in same if name in news and name in names}, news
        )
    return news


def _rebind(shell: Any, changed: str, new: object) -> None:
    """Bind every name of an object that the cell changed to what it is now.

    IPython's own names keep what they show, unless the cell changed it by that very name.
    """
    names, hidden = shell.user_ns, shell.user_ns_hidden
    old = names[changed]
    for name, value in list(names.items()):
        if value is not old:
            continue
        is_ipythons = name.startswith("_") and name in hidden and hidden[name] is old
        if is_ipythons and name != changed:
            continue
        if is_ipythons:  # a `_` that is not known for its own is never set by IPython again
            hidden[name] = new
        names[name] = new


def bind_folds(shell: Any, run: Run) -> None:
    """Bind every name to a dict of fold -> value, of the folds that are done; a module plainly."""
    gathered: dict[str, dict[int, object]] = {}
    for fold in run.plan.folds:
        result = run.results[fold]
        together: dict[str, Any] = {}
        if result.end.state is RunState.DONE:
            for name, stored in result.values.items():
                twin = stored.ref.same_as
                if twin != name and twin in together:
                    gathered.setdefault(name, {})[int(fold)] = together[twin]
                    continue
                try:
                    value = _decoded(shell, stored, result, together)
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
    _say_unbound(run)
    changed = {name for result in run.results.values() for name in result.changed}
    if changed:
        names = ",".join(sorted(changed))
        _say(f"The cell changed {names} in its folds; `--out {names}` brings that home.")


def say_files(run: Run, said: set[str]) -> None:
    """Say what the user has to know of files; once, of those that never travel."""
    for path, reason in run.plan.snapshot.left if run.plan.snapshot else ():
        if path not in said:
            said.add(path)
            _say(f"{path} does not travel: {reason}.")
    for sentence in run.file_notes:
        _say(f"{sentence}.")


def _decoded(
    shell: Any, stored: StoredValue, result: FoldResult, together: dict[str, Any]
) -> object:
    trusted = result.loads_pickles
    return decode(
        stored.ref, stored.source, shell.user_ns, loads_pickles=trusted, together=together
    )


def _say_left(result: FoldResult, where: str = "") -> None:
    for name, reason in result.left.items():
        _say(f"{where}{name} stays on {result.host}: {reason}")


def _say_unbound(run: Run) -> None:
    """Say which names of ``--out`` have come from no fold that ended well."""
    done = [each for each in run.results.values() if each.end.state is RunState.DONE]
    known = {name for each in done for name in (*each.values, *each.left)}
    absent = [name for name in run.plan.outputs if name not in known]
    if done and absent and run.plan.names_outputs:
        _say(f"{', '.join(absent)} of --out is not bound by the cell, nor sent to it")


def _say_unread(name: str, error: Exception, result: FoldResult) -> None:
    """One value that cannot be read keeps the others from nobody; its bytes are at home."""
    if isinstance(error, PickleKept):
        _say(kept_text(result.values[name].ref, result.host, result.attempt))
        return
    if result.values[name].ref.codec == "module":
        _say(f"{name} is not bound here: {error}")
        return
    _say(f"{name} of run {result.attempt.run} came home but cannot be read: {error}")


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")

"""Registers the magics without importing what they need: that comes with the first cell."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import kernelext

_MADE: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()
_MATCHERS: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


class LazyMagic:
    """A magic function whose documentation is made when it is asked for.

    Parameters
    ----------
    call : callable
    manual : callable
    """

    def __init__(self, call: Callable[..., None], manual: Callable[[], str]) -> None:
        self._call = call
        self._manual = manual
        self.__name__ = call.__name__

    def __call__(self, *args: str) -> None:
        """Run it."""
        self._call(*args)

    @property
    def __doc__(self) -> str:  # type: ignore[override]
        """What ``?`` shows."""
        return self._manual()

    def getdoc(self) -> str:
        """Return what ``?`` shows; IPython asks for it first."""
        return self._manual()


def register_magics(ipython: Any) -> None:
    """Add ``%%remote``, ``%%folds`` and ``%remote`` to a shell, and their completion."""

    def magics() -> Any:
        if ipython not in _MADE:
            _MADE[ipython] = kernelext.CellMagics(ipython)
        return _MADE[ipython]

    def remote(line: str, cell: str) -> None:
        magics().remote(line, cell)

    def folds(line: str, cell: str) -> None:
        magics().folds(line, cell)

    def command(line: str) -> None:
        magics().command(line)

    def manual(name: str, *args: str) -> Callable[[], str]:
        return lambda: str(getattr(importlib.import_module("kernelext.verbs.manual"), name)(*args))

    def register(call: Callable[..., None], kind: str, name: str, text: Callable[[], str]) -> None:
        ipython.register_magic_function(LazyMagic(call, text), kind, name)

    register(remote, "cell", "remote", manual("cell_manual", "remote"))
    register(folds, "cell", "folds", manual("cell_manual", "folds"))
    register(command, "line", "remote", manual("verbs_manual"))
    _add_matcher(ipython)


def close_magics(ipython: Any) -> None:
    """End a shell's connections; runs on their hosts run on."""
    matcher = _MATCHERS.pop(ipython, None)
    if matcher is not None and matcher in ipython.Completer.custom_matchers:
        ipython.Completer.custom_matchers.remove(matcher)
    magics = _MADE.pop(ipython, None)
    if magics is not None:
        magics.close()


def _add_matcher(ipython: Any) -> None:
    """Complete the lines of our magics; what it needs is imported at the first Tab in one."""

    def match(context: Any) -> dict[str, Any]:
        if not context.text_until_cursor.lstrip().startswith(("%%remote", "%%folds", "%remote")):
            return {"completions": []}
        completion = importlib.import_module("kernelext.magics.completion")
        found: dict[str, Any] = completion.match(ipython, context)
        return found

    # What IPython's own decorator sets.
    match.matcher_api_version = 2  # type: ignore[attr-defined]
    match.matcher_priority = 0  # type: ignore[attr-defined]
    match.matcher_identifier = "kernelext"  # type: ignore[attr-defined]
    if ipython not in _MATCHERS:
        _MATCHERS[ipython] = match
        ipython.Completer.custom_matchers.append(match)

"""Registers the magics without importing what they need: that comes with the first cell."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import kernelext

_MADE: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


def register_magics(ipython: Any) -> None:
    """Add ``%%remote``, ``%%folds`` and ``%remote`` to a shell."""

    def magics() -> Any:
        if ipython not in _MADE:
            _MADE[ipython] = kernelext.CellMagics(ipython)
        return _MADE[ipython]

    def remote(line: str, cell: str | None = None) -> None:
        """Run the cell on a host; as a line magic, one of the verbs. --help explains."""
        if cell is None:
            magics().command(line)
        else:
            magics().remote(line, cell)

    def folds(line: str, cell: str) -> None:
        """Run the cell once a fold, side by side. --help explains."""
        magics().folds(line, cell)

    ipython.register_magic_function(remote, "line_cell", "remote")
    ipython.register_magic_function(folds, "cell", "folds")


def close_magics(ipython: Any) -> None:
    """End a shell's connections; runs on their hosts run on."""
    magics = _MADE.pop(ipython, None)
    if magics is not None:
        magics.close()

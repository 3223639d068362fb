"""Run a notebook cell in a throw-away container on a machine of yours, as if it ran here."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

__version__ = "0.1.0"

# Where the public names live; importing this package imports none of it.
_HOMES = {
    "CellMagics": "kernelext.magics.cells",
    "KernelExtError": "kernelext.errors",
    "RemoteCellError": "kernelext.errors",
    "RunError": "kernelext.errors",
    "close_magics": "kernelext.magics.entry",
    "load": "kernelext.verbs.load",
    "register_magics": "kernelext.magics.entry",
    "runs": "kernelext.verbs.frame",
}

__all__ = [
    "KernelExtError",
    "RemoteCellError",
    "RunError",
    "load",
    "load_ipython_extension",
    "runs",
]


class _Package(ModuleType):
    """Keeps `kernelext.runs` the function: importing the room of that name would replace it."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kernelext' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def load_ipython_extension(ipython: Any) -> None:
    """Add ``%%remote``, ``%%folds`` and ``%remote`` to a notebook."""
    __getattr__("register_magics")(ipython)


def unload_ipython_extension(ipython: Any) -> None:
    """End a notebook's connections."""
    __getattr__("close_magics")(ipython)

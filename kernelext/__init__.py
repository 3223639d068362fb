"""Run a notebook cell in a throw-away container on a machine of yours, as if it ran here."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# Where the public names live; importing this package imports none of it.
_HOMES = {
    "CellMagics": "kernelext.magics.cells",
    "KernelExtError": "kernelext.errors",
    "RemoteCellError": "kernelext.errors",
    "RunError": "kernelext.errors",
    "close_magics": "kernelext.magics.entry",
    "register_magics": "kernelext.magics.entry",
}

__all__ = ["KernelExtError", "RemoteCellError", "RunError", "load_ipython_extension"]


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

"""Modules travel as their names."""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType


def name_of(module: ModuleType) -> str | None:
    """Return the name by which a module can be imported, or None."""
    if module is os.path:  # its own name is that of the platform's variant
        return "os.path"
    name = module.__name__
    return name if sys.modules.get(name) is module else None


def load(name: str) -> ModuleType:
    """Import a module.

    Raises
    ------
    ImportError
        As the cell's own import would.
    """
    return importlib.import_module(name)


def loaded(name: str) -> ModuleType:
    """Return a module that is imported already.

    Raises
    ------
    ImportError
        It is not: importing it would run code.
    """
    module = sys.modules.get(name)
    if module is None:
        raise ImportError(f"the module {name!r} is not imported here; `import {name}` does it")
    return module

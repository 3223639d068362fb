"""Which libraries one side has that the choice of a codec depends on."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Iterable

LIBRARIES = ("numpy", "blosc2", "tables", "pyarrow", "scipy", "pandas", "polars", "xgboost")
INSTALLED = ("site-packages", "dist-packages")
DISTRIBUTIONS = {"xgboost-cpu": "xgboost"}  # where the two names differ


@functools.cache
def own_abilities() -> frozenset[str]:
    """Return which of the libraries can be imported here."""
    return frozenset(filter(_is_installed, LIBRARIES))


def _is_installed(name: str) -> bool:
    spec = importlib.util.find_spec(name)
    # A project may have a folder `tables` of its own.
    return spec is not None and any(part in (spec.origin or "") for part in INSTALLED)


def abilities_of(distributions: Iterable[str]) -> frozenset[str]:
    """Return the libraries that installed distributions bring.

    >>> sorted(abilities_of(["NumPy", "xgboost-cpu", "six"]))
    ['numpy', 'xgboost']
    """
    names = (name.lower() for name in distributions)
    return frozenset(DISTRIBUTIONS.get(name, name) for name in names) & frozenset(LIBRARIES)

"""Whose machine this is: the home and the login name, from the environment."""

from __future__ import annotations

import getpass
from collections.abc import Mapping
from pathlib import Path


def home_dir(environ: Mapping[str, str]) -> Path:
    """Return the user's home, ``HOME`` first."""
    named = environ.get("HOME") or environ.get("USERPROFILE")
    return Path(named) if named else Path.home()


def login_name(environ: Mapping[str, str]) -> str:
    """Return the user's name; ``user`` where the machine has none for them.

    Examples
    --------
    >>> login_name({"USER": "ada"})
    'ada'
    """
    for variable in ("LOGNAME", "USER", "USERNAME"):
        if environ.get(variable):
            return environ[variable]
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user that no database knows
        return "user"

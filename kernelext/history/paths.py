"""Where the history and the journals of this user lie."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import platformdirs


def data_dir(environ: Mapping[str, str]) -> Path:
    """Return the user's data folder, which may not exist yet.

    Parameters
    ----------
    environ : mapping of str to str
        ``KERNELEXT_DATA`` in it wins over the platform's own place.

    Examples
    --------
    >>> data_dir({"KERNELEXT_DATA": "/data"}).as_posix()
    '/data'
    """
    named = environ.get("KERNELEXT_DATA")
    if named:
        return Path(named).expanduser()
    return platformdirs.user_data_path("kernelext", appauthor=False)


def history_path(environ: Mapping[str, str]) -> Path:
    """Return the path of the user's history, which may not exist yet.

    Examples
    --------
    >>> history_path({"KERNELEXT_DATA": "/data"}).as_posix()
    '/data/history.sqlite'
    """
    return data_dir(environ) / "history.sqlite"

"""Removes folders, also those that a cell has closed to their owner."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from pathlib import Path


def remove_tree(folder: Path) -> None:
    """Remove a folder with all beneath it, as far as that may be; follows no link."""
    shutil.rmtree(folder, ignore_errors=True)
    if os.path.lexists(folder):  # a daemon that is not root needs the rights that a cell took
        _open_up(str(folder))
        shutil.rmtree(folder, ignore_errors=True)


def _open_up(folder: str) -> None:
    _let_in(folder)
    for root, names, _ in os.walk(folder):
        for name in names:
            _let_in(os.path.join(root, name))  # noqa: PTH118 - there may be very many


def _let_in(folder: str) -> None:
    with contextlib.suppress(OSError):  # not ours
        mode = os.lstat(folder).st_mode
        if stat.S_ISDIR(mode) and mode & 0o700 != 0o700:
            os.chmod(folder, 0o700)  # noqa: PTH101


def tree_bytes(folder: Path) -> int:
    """Return the size of the files beneath a folder; follows no link."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(root, name)).st_size  # noqa: PTH118
    return total

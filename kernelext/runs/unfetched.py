"""Notes at home that a host still has files of an ended attempt, and what home had before."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from kernelext.bundle import Baseline
from kernelext.models import OUTPUT_FOLDERS

UNFETCHED_NAME = "unfetched"


def note_unfetched(directory: Path, baseline: Baseline | None = None) -> None:
    """Note it in an attempt's directory; what was noted first stays.

    Parameters
    ----------
    directory : Path
        The attempt's, at home.
    baseline : Baseline or None
        As it was when the cell was sent, if that is known.
    """
    noted = [baseline.folders, baseline.stamps] if baseline else [OUTPUT_FOLDERS, {}]
    with contextlib.suppress(OSError):  # a full disk: `fetch` of its results still asks
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (directory / UNFETCHED_NAME).open("x") as out:
            json.dump(noted, out)


def is_unfetched(directory: Path) -> bool:
    """Whether the host still has files of the attempt, as far as is known here."""
    return (directory / UNFETCHED_NAME).exists()


def forget_unfetched(directory: Path) -> None:
    """Note that they are at home."""
    (directory / UNFETCHED_NAME).unlink(missing_ok=True)


def noted_baseline(directory: Path, root: Path) -> Baseline:
    """Return what the project had when the cell was sent; without a note nothing is known."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        folders, stamps = json.loads((directory / UNFETCHED_NAME).read_text())
        known = {str(path): _stamp(stamp) for path, stamp in dict(stamps).items()}
        return Baseline(root, tuple(folders), known)
    return Baseline(root, OUTPUT_FOLDERS, {})


def _stamp(noted: list[int]) -> tuple[int, int, int, int]:
    size_bytes, modified_ns, changed_ns, inode = noted
    return size_bytes, modified_ns, changed_ns, inode

"""Results of a host with ``pickles = "keep"``: nothing of it is taken on trust."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from kernelext.models import AttemptId, ValueRef
from kernelext.runs.plan import RunPlan
from kernelext.runs.results import FoldResult, StoredValue


def keep_pickles(result: FoldResult, plan: RunPlan, directory: Path) -> FoldResult:
    """Put every result into a file, and leave out names that nobody has asked for.

    Parameters
    ----------
    directory : Path
        For the files of small results, which came inside the journal.

    Raises
    ------
    OSError
        The files cannot be written.
    """
    values = {
        name: StoredValue(stored.ref, _as_file(stored, directory))
        for name, stored in result.values.items()
        if _is_wanted(stored.ref, plan)
    }
    return dataclasses.replace(result, values=values, loads_pickles=False)


def kept_text(ref: ValueRef, host: str, attempt: AttemptId) -> str:
    """Say that a result is not bound because its host is not trusted, and what would load it."""
    return (
        f"{ref.name} ({ref.type_name}) stays on disk: reading it can run code (it is a pickle, or"
        f' holds types of other libraries), and {host} has pickles = "keep" in your'
        f' kernelext.toml. Only if you trust it: kernelext.load("{attempt.run}", "{ref.name}")'
    )


def _is_wanted(ref: ValueRef, plan: RunPlan) -> bool:
    if ref.name in plan.outputs or (plan.compare and ref.name in plan.inputs):
        return True
    return not plan.names_outputs and ref.name.isidentifier() and not ref.name.startswith("_")


def _as_file(stored: StoredValue, directory: Path) -> Path:
    if isinstance(stored.source, Path):
        return stored.source
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = directory / stored.ref.file_name
    path.write_bytes(stored.source)
    return path

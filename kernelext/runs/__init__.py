"""Submits cells to hosts and follows them to their end. Draws nothing."""

from kernelext.runs.plan import RunPlan, new_run_id
from kernelext.runs.results import FoldResult, StoredValue, fold_error
from kernelext.runs.run import Run
from kernelext.runs.updates import FoldEnded, FoldEvent, FoldState, HostSaid, Tick, Update
from kernelext.runs.uploads import refuse_size

__all__ = [
    "FoldEnded",
    "FoldEvent",
    "FoldResult",
    "FoldState",
    "HostSaid",
    "Run",
    "RunPlan",
    "StoredValue",
    "Tick",
    "Update",
    "fold_error",
    "new_run_id",
    "refuse_size",
]

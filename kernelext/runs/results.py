"""A fold's end and its results, and the error that says what went wrong."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kernelext.errors import EngineError, ImageNotFound, KernelExtError, RunError, remote_cell_error
from kernelext.hosts.sizes import size_text
from kernelext.models import AttemptEnd, AttemptId, EndCause, Limits, RunState, ValueRef
from kernelext.runs.missing import missing_module, module_advice
from kernelext.runs.plan import RunPlan


@dataclass(frozen=True)
class StoredValue:
    """A result's bytes at home: themselves, or the file that holds them."""

    ref: ValueRef
    source: bytes | Path


@dataclass(frozen=True)
class FoldResult:
    """How a fold ended.

    Attributes
    ----------
    attempt : AttemptId
    host : str
    end : AttemptEnd
    values : mapping of str to StoredValue
    left : mapping of str to str
        Results that cannot travel, and why.
    changed : tuple of str
        Inputs that the cell changed and that stay on the host.
    deleted : tuple of str
        Inputs that the cell deleted.
    failure : mapping
        Content of the error event, if the cell raised.
    error : KernelExtError or None
        What happened here, if the cell never started.
    loads_pickles : bool
        Whether the host's results may run code here.
    """

    attempt: AttemptId
    host: str
    end: AttemptEnd
    values: Mapping[str, StoredValue] = field(default_factory=dict)
    left: Mapping[str, str] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    failure: Mapping[str, Any] = field(default_factory=dict)
    error: KernelExtError | None = None
    loads_pickles: bool = True


def fold_error(result: FoldResult, plan: RunPlan) -> BaseException | None:
    """Make the error to raise for a fold; None when it is done."""
    end = result.end
    if end.state is RunState.DONE:
        return None
    if result.error is not None:
        return result.error
    place = {"run": result.attempt.run, "fold": result.attempt.fold, "host": result.host}
    if end.cause is EndCause.USER_INTERRUPT:
        return KeyboardInterrupt(
            end.message or f"interrupted; {result.host} confirmed that the cell has ended"
        )
    if end.cause is EndCause.CELL_ERROR and result.failure:
        error = remote_cell_error(result.failure, **place)
        module = missing_module(error.evalue) if isinstance(error, ModuleNotFoundError) else ""
        if module:
            error.add_note(f"kernelext: {module_advice(module, plan, result.host)}")
        return error
    if end.cause is EndCause.IMAGE:
        return ImageNotFound(end.message)
    if end.cause is EndCause.ENGINE:
        return EngineError(end.message)
    cause = end.cause or EndCause.INTERNAL
    return RunError(_sentence(result, cause, plan.limits), cause=cause.value, **place)


def cancelled_elsewhere(result: FoldResult) -> RunError:
    """Make the error of a fold that another process has ended."""
    return RunError(
        f"cancelled by `cancel`, not by this notebook; {result.host} confirmed that the cell has"
        " ended",
        cause=EndCause.USER_INTERRUPT.value,
        run=result.attempt.run,
        fold=result.attempt.fold,
        host=result.host,
    )


def _sentence(result: FoldResult, cause: EndCause, limits: Limits) -> str:
    host, end = result.host, result.end
    if cause is EndCause.OUT_OF_MEMORY:
        held = f": it held {size_text(end.peak_bytes)}" if end.peak_bytes else ""
        limit = f" of {size_text(limits.memory_bytes)} allowed" if limits.memory_bytes else ""
        return (
            f"out of memory on {host}{held}{limit};"
            " allow more with --memory, or use a larger host by --on"
        )
    if cause is EndCause.TIMEOUT:
        allowed = f" after {limits.timeout_s:g} s" if limits.timeout_s else ""
        return f"stopped on {host}{allowed}, its --timeout; allow more with --timeout"
    if cause is EndCause.PROCESS_DIED:
        return (
            f"the cell's process on {host} {_death(end)}; what it printed last may say why:"
            f" %remote logs {result.attempt.run} --fold {result.attempt.fold}"
        )
    if cause is EndCause.HOST_LOST:
        return f"{host} is lost: {end.message or 'it did not come back'}; run the cell again"
    if cause is EndCause.DISK_FULL:
        return f"the disk of {host} is full; make room there (`docker system df`) and run again"
    if cause is EndCause.KILLED:
        return f"the cell was killed on {host}: {end.message or 'by request'}; run it again"
    return f"the run failed on {host} ({cause.value}): {end.message or 'no more is known'}"


def _death(end: AttemptEnd) -> str:
    if end.signal in set(signal.Signals):
        return f"died of {signal.Signals(end.signal).name} (signal {end.signal})"
    if end.signal:  # a real-time signal has no name
        return f"died of signal {end.signal}"
    return f"ended itself with exit code {end.exit_code}"

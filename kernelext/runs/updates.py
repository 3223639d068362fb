"""What a run tells the one who watches it."""

from __future__ import annotations

from dataclasses import dataclass

from kernelext.events import Event
from kernelext.models import RunState
from kernelext.runs.results import FoldResult


@dataclass(frozen=True)
class HostSaid:
    """About a host: ``sending``, ``unreachable``, ``reachable``, ``left out``, ``note``."""

    host: str
    word: str
    detail: str = ""


@dataclass(frozen=True)
class FoldState:
    """A fold's state, as its host confirmed it."""

    fold: str
    host: str
    state: RunState


@dataclass(frozen=True)
class FoldEvent:
    """An event of a fold's newest attempt; it is in the journal at home."""

    fold: str
    event: Event


@dataclass(frozen=True)
class FoldEnded:
    """A fold's end; its results are at home."""

    result: FoldResult


@dataclass(frozen=True)
class Tick:
    """Time passes."""


Update = HostSaid | FoldState | FoldEvent | FoldEnded | Tick

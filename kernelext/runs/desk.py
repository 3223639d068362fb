"""What all hosts of a run share."""

from __future__ import annotations

import queue
from dataclasses import dataclass
from pathlib import Path

from kernelext.history import History
from kernelext.link import LinkPool
from kernelext.models import AttemptId
from kernelext.runs.homecoming import Homecoming
from kernelext.runs.plan import RunPlan
from kernelext.runs.sending import Encoder
from kernelext.runs.updates import Update


@dataclass(frozen=True)
class Desk:
    """A run's plan, and where its hosts' news goes.

    Attributes
    ----------
    plan : RunPlan
    encoder : Encoder
    history : History
    home : Path
        The folder of all runs.
    links : LinkPool
        Of this process.
    out : queue.Queue
        Takes the updates.
    homecoming : Homecoming or None
        Takes the files that cells have changed.
    """

    plan: RunPlan
    encoder: Encoder
    history: History
    home: Path
    links: LinkPool
    out: queue.Queue[Update]
    homecoming: Homecoming | None = None

    def directory(self, attempt: AttemptId) -> Path:
        """Return where an attempt's journal and results lie at home."""
        return self.home / attempt.run / attempt.fold / str(attempt.attempt)

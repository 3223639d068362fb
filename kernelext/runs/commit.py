"""Writes down the commit of a run's project while the run goes on: Git takes its time."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from kernelext.bundle import git_facts
from kernelext.errors import HistoryError
from kernelext.history import History, RunRow

log = logging.getLogger(__name__)


def note_commit(history: History, run: RunRow) -> None:
    """Ask Git in a thread of its own; what it says goes into the run's row."""
    threading.Thread(target=_ask, args=(history, run), daemon=True).start()


def _ask(history: History, run: RunRow) -> None:
    facts = git_facts(Path(run.project_dir))
    if facts.commit is None:
        return
    try:
        history.note_commit(run.id, facts.commit, is_dirty=bool(facts.is_dirty))
    except HistoryError:  # it was closed meanwhile: the notebook has ended
        log.info("run.commit_unnoted run=%s", run.id, exc_info=True)

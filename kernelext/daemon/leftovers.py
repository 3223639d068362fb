"""Clears what an earlier daemon left half done."""

from __future__ import annotations

from kernelext.daemon.attempts import Attempts
from kernelext.daemon.engine import Engine
from kernelext.daemon.removal import remove_tree
from kernelext.daemon.statedir import StateDir
from kernelext.models import RunState


def clear_leftovers(state: StateDir, attempts: Attempts, engine: Engine, code: str) -> None:
    """Queue again what was starting; remove containers and folders that no attempt is in.

    Parameters
    ----------
    code : str
        Digest of this daemon's own code; that of others goes when nothing runs on it.
    """
    for attempt in attempts.living():
        if attempt.state is RunState.STARTING:
            engine.remove(attempt.record.container)
            remove_tree(attempts.work(attempt))
            attempts.change(attempt, state=RunState.QUEUED, container="", gpus=())
    used = {attempt.record.container for attempt in attempts.living()}
    for container in engine.containers():
        if container not in used:
            engine.remove(container)
    for path in state.work.iterdir():
        if path.name in used:
            continue
        if path.is_symlink():
            path.unlink()
        else:
            remove_tree(path)
    if not attempts.living():
        for path in (state.root / "code").iterdir():
            if path.name.startswith(code):
                continue
            if path.is_dir():
                remove_tree(path)
            else:
                path.unlink()

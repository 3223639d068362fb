"""Which commit the project is at."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_S = 5.0


@dataclass(frozen=True)
class GitFacts:
    """The commit checked out, and whether files differ from it; None where there is no Git."""

    commit: str | None = None
    is_dirty: bool | None = None


def git_facts(root: Path) -> GitFacts:
    """Ask Git; a folder without it, or a slow Git, gives nothing."""
    try:
        commit = _git(root, "rev-parse", "HEAD").strip()
        changes = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return GitFacts()
    return GitFacts(commit, bool(changes.strip()))


def _git(root: Path, *words: str) -> str:
    argv = ["git", "-C", str(root), *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=TIMEOUT_S)
    return done.stdout

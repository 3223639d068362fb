"""Which commit the project is at."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_S = 5.0
COMMIT = "# branch.oid "
NO_COMMIT = "(initial)"


@dataclass(frozen=True)
class GitFacts:
    """The commit checked out, and whether files differ from it; None where there is no Git."""

    commit: str | None = None
    is_dirty: bool | None = None


def git_facts(root: Path) -> GitFacts:
    """Ask Git; a folder without it or without a commit, or a slow Git, gives nothing."""
    if not any((folder / ".git").exists() for folder in (root, *root.parents)):
        return GitFacts()  # as Git would say, 3 ms and a process later
    # One process answers both questions: starting one costs more than what it does.
    # It runs beside a cell, so on one core, and never in the way of the user's own Git.
    argv = ["git", "--no-optional-locks", "-c", "core.preloadIndex=false", "-C", str(root)]
    argv += ["status", "--porcelain=v2", "--branch", "--no-ahead-behind", "--untracked-files=no"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=TIMEOUT_S)
    except (OSError, subprocess.SubprocessError):
        return GitFacts()
    lines = done.stdout.splitlines()
    commit = next((line.split()[-1] for line in lines if line.startswith(COMMIT)), NO_COMMIT)
    if commit == NO_COMMIT:
        return GitFacts()
    return GitFacts(commit, any(not line.startswith("#") for line in lines))

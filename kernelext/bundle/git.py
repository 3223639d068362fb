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
    # One process answers both questions: starting one costs more than what it does.
    argv = ["git", "-C", str(root), "status", "--porcelain=v2", "--branch", "--no-ahead-behind"]
    argv += ["--untracked-files=no"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=TIMEOUT_S)
    except (OSError, subprocess.SubprocessError):
        return GitFacts()
    lines = done.stdout.splitlines()
    commit = next((line.split()[-1] for line in lines if line.startswith(COMMIT)), NO_COMMIT)
    if commit == NO_COMMIT:
        return GitFacts()
    return GitFacts(commit, any(not line.startswith("#") for line in lines))

"""Which of the project's files stay at home."""

from __future__ import annotations

from pathlib import Path

import pathspec

RULE_FILES = (".dockerignore", ".gitignore")  # the first that is there counts
ALWAYS = (
    ".git/",
    ".hg/",
    ".svn/",
    ".venv/",
    "venv/",
    "__pycache__/",
    "*.py[co]",
    ".ipynb_checkpoints/",
    ".mypy_cache/",
    ".pytest_cache/",
    ".ruff_cache/",
    ".tox/",
    "node_modules/",
    ".DS_Store",
)


class IgnoreRules:
    """The rules of one project.

    Parameters
    ----------
    root : Path
    """

    def __init__(self, root: Path) -> None:
        lines: list[str] = []
        for name in RULE_FILES:
            path = root / name
            if path.is_file():
                lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
                break
        self._own = pathspec.GitIgnoreSpec.from_lines(lines)
        self._always = pathspec.GitIgnoreSpec.from_lines(ALWAYS)

    def is_ignored(self, path: str, *, is_dir: bool) -> bool:
        """Whether a path, POSIX and relative to the root, stays at home."""
        asked = path + "/" if is_dir else path
        return self._always.match_file(asked) or self._own.match_file(asked)

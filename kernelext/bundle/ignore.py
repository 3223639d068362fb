"""Which of the project's files stay at home."""

from __future__ import annotations

import fnmatch
import functools
from pathlib import Path

import pathspec

from kernelext.bundle.credentials import SECRET_FOLDERS, is_secret_path

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

    Attributes
    ----------
    file_name : str
        Of the file that holds them, or that would.
    links : dict of str to str
        Files that are links to what looks like a secret, and where that lies.
    """

    def __init__(self, root: Path) -> None:
        lines: list[str] = []
        self.file_name = RULE_FILES[-1]
        self.links: dict[str, str] = {}
        for name in RULE_FILES:
            path = root / name
            if path.is_file():
                lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
                self.file_name = name
                break
        self._lines = [line for line in lines if line]  # as the patterns are counted
        self._own, self._decided = _compile(tuple(self._lines))

    def is_ignored(self, path: str, *, is_dir: bool) -> bool:
        """Whether a path, POSIX and relative to the root, stays at home."""
        asked = path + "/" if is_dir else path
        if asked not in self._decided:
            self._decided[asked] = _ALWAYS.match_file(asked) or self._own.match_file(asked)
        return self._decided[asked]

    def reason(self, path: str, *, is_dir: bool) -> str:
        """Say why a path that is ignored stays at home: by which rule of which file."""
        asked = path + "/" if is_dir else path
        if _ALWAYS.match_file(asked):
            return "never travels"
        line = self._deciding_line(asked)
        return f"{line} in {self.file_name}"

    def note_link(self, path: str, target: str) -> None:
        """Remember a link if what it leads to looks like a secret: a clone may hold such links."""
        if is_secret_path(target):
            self.links[path] = f"links to {target}"

    def is_secret(self, path: str) -> bool:
        """Whether a file looks like a secret by its name, or by that of what it links to."""
        return is_secret_path(path) or path in self.links

    def is_allowed(self, path: str) -> bool:
        """Whether a rule ``!name`` sends a file that looks like a secret.

        A rule that sends a whole folder does not count: it was not written for the secret.
        """
        line = self._deciding_line(path)
        named = line.strip().rstrip("/").rpartition("/")[2].removeprefix("!")
        if not line.startswith("!") or named.strip("*?") == "":
            return False
        *folders, name = path.split("/")
        return any(fnmatch.fnmatch(part, named) for part in (name, *SECRET_FOLDERS & {*folders}))

    def _deciding_line(self, asked: str) -> str:
        index = self._own.check_file(asked).index
        return "" if index is None else self._lines[index]


_ALWAYS = pathspec.GitIgnoreSpec.from_lines(ALWAYS)


@functools.lru_cache(maxsize=4)
def _compile(lines: tuple[str, ...]) -> tuple[pathspec.GitIgnoreSpec, dict[str, bool]]:
    """Compile rules; with them comes what they have decided before: matching takes 25 us a path."""
    return pathspec.GitIgnoreSpec.from_lines(lines), {}

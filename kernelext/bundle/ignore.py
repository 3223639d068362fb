"""Which of the project's files stay at home."""

from __future__ import annotations

from pathlib import Path

import pathspec

from kernelext.bundle.dockerignore import DockerRules, docker_rules
from kernelext.bundle.gitignore import GitRules, git_rules
from kernelext.errors import BundleError

DOCKER_NAME = ".dockerignore"
GIT_NAME = ".gitignore"
# A folder with one of these is an environment or a cache, whatever its name is.
MARKS = frozenset({"pyvenv.cfg", "conda-meta", "CACHEDIR.TAG"})
ALWAYS = (
    ".git",
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
_ALWAYS = pathspec.GitIgnoreSpec.from_lines(ALWAYS)

Rules = DockerRules | GitRules


class IgnoreRules:
    """The rules of one project: its `.dockerignore`, else the `.gitignore` files as Git has them.

    Parameters
    ----------
    root : Path
    kept : str, optional
        A file that travels whatever the rules say. Then they are Docker's also where there is
        none of its files, as of a build's context.

    Attributes
    ----------
    file_name : str
        Of the file that holds them, or that would.
    top : DockerRules or GitRules
        Those that hold in the root. Equal rules are the same object.
    """

    def __init__(self, root: Path, kept: str | None = None) -> None:
        self._root = str(root)
        self.file_name = GIT_NAME
        self.top: Rules
        docker = root / DOCKER_NAME
        text = _read(docker) if docker.is_file() else None
        if kept is not None:
            self.file_name = DOCKER_NAME
            self.top = docker_rules(f"{text or ''}\n!{kept}\n!{DOCKER_NAME}\n")
        elif text is not None:
            self.file_name = DOCKER_NAME
            self.top = docker_rules(text)
        else:
            self.top = git_rules(root)

    def enter(self, rules: Rules, folder: str) -> Rules:
        """Return the rules that hold in a folder which has a `.gitignore` of its own."""
        return rules.enter(folder, self._root) if isinstance(rules, GitRules) else rules

    def of_folder(self, folder: str) -> Rules:
        """Return the rules that hold in a folder, POSIX and relative to the root."""
        rules, path = self.top, ""
        for part in folder.split("/") if folder else ():
            path = f"{path}/{part}" if path else part
            if Path(self._root, path, GIT_NAME).is_file():
                rules = self.enter(rules, path)
        return rules

    def is_ignored(self, path: str, *, is_dir: bool) -> bool:
        """Whether a path, POSIX and relative to the root, stays at home by its own name."""
        if never_travels(path, is_dir=is_dir):
            return True
        return self.of_folder(path.rpartition("/")[0]).is_ignored(path, is_dir=is_dir)

    def reason(self, path: str) -> str:
        """Say why a path stays at home; a folder's ends with a slash."""
        if _ALWAYS.match_file(path):
            return "never travels"
        line = self.deciding_line(path)
        return f"{line} in {self.file_name}" if line else "an environment or a cache"

    def deciding_line(self, path: str) -> str | None:
        """Return the rule that decides about a path, of which a folder's ends with a slash."""
        plain = path.rstrip("/")
        rules = self.of_folder(plain.rpartition("/")[0])
        return rules.deciding_line(path if isinstance(rules, GitRules) else plain)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as exc:
        raise BundleError(f"{path.name} cannot be read: {exc.strerror}") from exc


def never_travels(path: str, *, is_dir: bool) -> bool:
    """Whether a path stays at home whatever the project's rules say."""
    return _ALWAYS.match_file(path + "/" if is_dir else path)

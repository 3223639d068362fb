"""The rules of `.gitignore` files: those above the project, its own, and those in its folders."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pathspec

NAME = ".gitignore"


@dataclass(frozen=True)
class GitRules:
    """One file's rules, and those of the folders above, which count less.

    Attributes
    ----------
    above : GitRules or None
    folder : str
        Where the file is: relative to the project with a slash at its end, or empty.
    before : str
        From a file above the project to it, with a slash at its end.
    text : str
    """

    above: GitRules | None
    folder: str
    before: str
    text: str

    def deciding_line(self, path: str) -> str | None:
        """Return the line that decides about a path (a folder's ends with a slash)."""
        rules: GitRules | None = self
        while rules is not None:
            spec, lines = _compiled(rules.text)
            found = spec.check_file(rules.before + path[len(rules.folder) :])
            if found.include is not None and found.index is not None:
                return lines[found.index]
            rules = rules.above
        return None

    def is_ignored(self, path: str, *, is_dir: bool = False) -> bool:
        """Whether a path stays at home, if the folders above it do not."""
        line = self.deciding_line(path + "/" if is_dir else path)
        return line is not None and not line.startswith("!")

    def may_hold_more(self, folder: str) -> bool:
        """Whether something in an ignored folder may travel: never, as Git has it."""
        return False

    def enter(self, folder: str, root: str) -> GitRules:
        """Return the rules that hold in a folder of the project which has such a file."""
        return _interned(self, f"{folder}/", "", _read(Path(root, folder, NAME)))


def git_rules(root: Path) -> GitRules:
    """Read the rules that hold in the project's own folder."""
    rules: GitRules = _interned(None, "", "", "")
    top = next((each for each in (root, *root.parents) if (each / ".git").exists()), root)
    files = [top / ".git" / "info" / "exclude"]
    files += [each / NAME for each in reversed((root, *root.parents)) if _is_in(each, top)]
    for file in files:
        base = top if file.name == "exclude" else file.parent
        before = root.relative_to(base).as_posix() + "/" if base != root else ""
        text = _read(file)
        new = _interned(rules, "", before, text) if text else rules
        # A project in a folder that Git ignores is a project none the less.
        if not (before and new.is_ignored("", is_dir=False)):
            rules = new
    return rules


def _is_in(folder: Path, top: Path) -> bool:
    return folder == top or top in folder.parents


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").removeprefix("\ufeff")
    except OSError:
        return ""


@lru_cache(maxsize=1024)
def _interned(above: GitRules | None, folder: str, before: str, text: str) -> GitRules:
    """Make equal rules the same object, by which listings are known to be as they were."""
    return GitRules(above, folder, before, text)


@lru_cache(maxsize=256)
def _compiled(text: str) -> tuple[pathspec.GitIgnoreSpec, list[str]]:
    lines = [line for line in text.splitlines() if line]  # as the patterns are counted
    return pathspec.GitIgnoreSpec.from_lines(lines), lines

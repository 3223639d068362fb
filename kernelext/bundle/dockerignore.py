"""The rules of a `.dockerignore`, which are not those of Git.

Patterns are anchored at the root, a trailing slash means nothing, the last rule that matches a
path or a folder above it decides, and ``!`` brings back what lies in an ignored folder. The
translation follows Docker's own (moby/patternmatcher); pathspec knows Git's rules only.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from functools import lru_cache

WILDCARD = re.compile(r"[*?\[\\]")


@dataclass(frozen=True)
class DockerRule:
    """One line: what it matches, whether it brings back, and its text before any wildcard."""

    line: str
    pattern: re.Pattern[str]
    brings_back: bool
    prefix: str


class DockerRules:
    """The rules of one file.

    Parameters
    ----------
    lines : sequence of str

    Examples
    --------
    >>> rules = DockerRules(("data", "!data/input/*.csv"))
    >>> [rules.is_ignored(path) for path in ("data/a", "data/input/a.csv", "src/data")]
    [True, False, False]
    """

    def __init__(self, lines: tuple[str, ...]) -> None:
        found = (_rule(line) for line in lines)
        self._rules = tuple(rule for rule in found if rule is not None)

    def deciding_line(self, path: str) -> str | None:
        """Return the line that decides about a path; None where none does."""
        for rule in reversed(self._rules):
            if rule.pattern.fullmatch(path):
                return rule.line
        return None

    def is_ignored(self, path: str, *, is_dir: bool = False) -> bool:
        """Whether a path stays at home, as far as its own name goes."""
        line = self.deciding_line(path)
        return line is not None and not line.startswith("!")

    def may_hold_more(self, folder: str) -> bool:
        """Whether a rule may bring back something that lies in an ignored folder."""
        inside = f"{folder}/"
        return any(
            rule.brings_back and (rule.prefix.startswith(inside) or inside.startswith(rule.prefix))
            for rule in self._rules
        )


@lru_cache(maxsize=8)
def docker_rules(text: str) -> DockerRules:
    """Read a file's text."""
    return DockerRules(tuple(text.removeprefix("\ufeff").splitlines()))


def _rule(line: str) -> DockerRule | None:
    pattern = line.strip()
    if not pattern or line.startswith("#"):
        return None
    brings_back = pattern.startswith("!")
    if brings_back:
        pattern = pattern[1:].strip()
    cleaned = posixpath.normpath(pattern).lstrip("/") if pattern else ""
    if cleaned in ("", "."):
        return None
    try:
        compiled = re.compile(_regex(cleaned) + "(?:/.*)?", re.DOTALL)
    except re.error:
        return None  # Docker refuses such a file; a rule that cannot match ignores nothing
    prefix = cleaned[: found.start()] if (found := WILDCARD.search(cleaned)) else cleaned
    return DockerRule(("!" if brings_back else "") + cleaned, compiled, brings_back, prefix)


def _regex(pattern: str) -> str:
    parts = []
    at = 0
    while at < len(pattern):
        letter = pattern[at]
        if pattern.startswith("**/", at):
            parts.append("(?:.*/)?")
            at += 3
        elif pattern.startswith("**", at):
            parts.append(".*")
            at += 2
        elif letter == "[" and (end := _class_end(pattern, at)):
            parts.append(pattern[at:end])
            at = end
        elif letter == "\\" and at + 1 < len(pattern):
            parts.append(re.escape(pattern[at + 1]))
            at += 2
        else:
            parts.append({"*": "[^/]*", "?": "[^/]"}.get(letter) or re.escape(letter))
            at += 1
    return "".join(parts)


def _class_end(pattern: str, start: int) -> int:
    end = pattern.find("]", start + 2)
    return end + 1 if end > 0 else 0

"""The `Host` lines of the user's SSH configuration; what they mean is `ssh -G`'s to say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from kernelext.errors import OptionError
from kernelext.hosts.person import home_dir

_LINE = re.compile(r"\s*(\w+)\s*(?:=\s*|\s+)(.*)")
_WORD = re.compile(r'"([^"]*)"|([^\s"]+)')


def host_patterns(environ: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Return the patterns of every ``Host`` line of ``~/.ssh/config``, ``Include`` followed.

    Raises
    ------
    OptionError
        When a file of the configuration cannot be read.
    """
    folder = home_dir(environ) / ".ssh"
    lines = config_lines(folder / "config", folder, environ)
    return [words for keyword, words in lines if keyword == "host"]


def config_lines(
    path: Path, folder: Path, environ: Mapping[str, str]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield keyword (in small letters) and words of every line of a file, ``Include`` followed.

    Parameters
    ----------
    path : Path
        It need not exist.
    folder : Path
        Where relative names of included files start.
    environ : mapping of str to str

    Raises
    ------
    OptionError
        When a file cannot be read.
    """
    yield from _read(path, folder, environ, set())


def has_alias(name: str, patterns: list[tuple[str, ...]]) -> bool:
    """Whether a ``Host`` line other than one for all hosts is about `name`.

    Examples
    --------
    >>> has_alias("gpu7", [("gpu?", "!gpu9")]), has_alias("gpu9", [("gpu?", "!gpu9")])
    (True, False)
    >>> has_alias("gpu7", [("*",)])
    False
    """
    return any(
        any(pattern_matches(name, p) for p in line if not p.startswith("!") and p.strip("*?"))
        and not any(pattern_matches(name, p[1:]) for p in line if p.startswith("!"))
        for line in patterns
    )


def concrete_aliases(patterns: list[tuple[str, ...]]) -> list[str]:
    """Return the names that stand in ``Host`` lines without a wildcard, each once.

    Examples
    --------
    >>> concrete_aliases([("gpu1", "gpu2"), ("gpu*", "!gpu3"), ("gpu1",)])
    ['gpu1', 'gpu2']
    """
    names = (p for line in patterns for p in line if not p.startswith("!"))
    return list(dict.fromkeys(name for name in names if not set(name) & set("*?")))


def pattern_matches(name: str, pattern: str) -> bool:
    """Whether a pattern of a ``Host`` line, taken without its ``!``, is about a name.

    Examples
    --------
    >>> pattern_matches("gpu7", "gpu?"), pattern_matches("gpu7", "gpu")
    (True, False)
    """
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch("".join(parts), name) is not None


def _read(
    path: Path, folder: Path, environ: Mapping[str, str], seen: set[Path]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    if path in seen or not path.is_file():
        return
    seen.add(path)
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as exc:
        raise OptionError(f"{path} cannot be read ({exc.strerror}): mend its mode.") from exc
    for line in text.splitlines():
        found = _LINE.match(line)
        if not found:
            continue
        keyword, words = found[1].lower(), _words(found[2])
        if keyword == "include":
            for word in words:
                for included in _included(word, folder, environ):
                    yield from _read(included, folder, environ, seen)
        elif words:
            yield keyword, words


def _words(text: str) -> tuple[str, ...]:
    words: list[str] = []
    for found in _WORD.finditer(text):
        if found[0].startswith("#"):
            break
        words.append(found[1] if found[1] is not None else found[2])
    return tuple(words)


def _included(word: str, folder: Path, environ: Mapping[str, str]) -> list[Path]:
    in_home = word.startswith("~/")
    path = home_dir(environ) / word[2:] if in_home else folder / word
    return sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))

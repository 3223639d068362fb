"""Reads lines of a requirements file: those for an index, and packages that lie elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from kernelext.errors import ImageBuildError
from kernelext.image.logins import hide_logins
from kernelext.image.wanted import Local, Wanted

INCLUDE = re.compile(r"(-r|--requirement|-c|--constraint)[ =]?\s*(\S.*)")
EDITABLE = re.compile(r"(?:-e|--editable)[ =]?\s*(.+)")
LINKS = re.compile(r"(-f|--find-links)[ =]?\s*(\S.*)")
OPTIONS = re.compile(r"\s--(?:hash|config-settings?|global-option)\b.*$")
NAMED = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[(?P<extras>[^]]*)\])?\s*@\s*(?P<at>.+)"
)
SHA256 = re.compile(r"\s--hash[ =]sha256:([0-9A-Fa-f]{64})\b")
MARKER = re.compile(r"\s+;\s*|;\s+|;(?=[a-z_]+\s*[<>=!~])")
EXTRAS = re.compile(r"(?P<at>.+?)\s*\[(?P<extras>[\w\s,.-]*)\]")
BUILT_BY = ("pyproject.toml", "setup.py")
WHEEL = ".whl"
ARCHIVES = (".tar.gz", ".tgz", ".zip", ".tar.bz2", ".tar.xz")
GIT = "git+"
DEEPEST = 10


def read_lines(
    lines: Iterable[str], folder: Path, source: str, project: Path | None = None
) -> Wanted:
    """Read lines as a requirements file has them, and the files that they include.

    Parameters
    ----------
    lines : iterable of str
        Without comments.
    folder : Path
        Theirs: what they include is relative to it.
    source : str
        Where they are from, for people.
    project : Path, optional
        What packages are relative to: pip, uv and repo2docker are run there. Where it has none of
        them, they are relative to the file that names them.

    Raises
    ------
    ImageBuildError
        A file that is included cannot be read, or limits what it cannot.
    """
    found = _Found(project or folder)
    stripped = [line.strip() for line in lines]
    _follow(filter(None, stripped), folder, found, DEEPEST, is_limit=False)
    requirements, constraints = tuple(found.requirements), tuple(found.constraints)
    return Wanted(source, requirements, constraints, tuple(found.local))


def file_lines(path: Path) -> list[str]:
    """Return a requirements file's lines: continued ones joined, without comments.

    Raises
    ------
    ImageBuildError
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        raise ImageBuildError(f"{path.name} cannot be read: {exc}") from exc
    joined = re.sub(r"\\\r?\n", " ", text)
    lines = (re.sub(r"(^|\s)#.*$", "", line).strip() for line in joined.splitlines())
    return [line for line in lines if line]


def local_of(line: str, *folders: Path) -> Local | None:
    """Return the package that a line takes from elsewhere; None where an index is asked.

    Parameters
    ----------
    line : str
    *folders : Path
        What a path is relative to: the first of them where it is a package.

    Raises
    ------
    ImageBuildError
        It has an address that is none.

    Examples
    --------
    >>> found = local_of("own[dev] @ git+https://x.example/own@v1 ; python_version > '3'", Path())
    >>> found.place, found.name, found.extras, found.marker
    ('git+https://x.example/own@v1', 'own', ('dev',), "python_version > '3'")
    >>> local_of("-e ./own[dev,plot]", Path("/project")).place
    '/project/own'
    >>> local_of("numpy>=2", Path("/project"))
    """
    editable = EDITABLE.fullmatch(line)
    if line.startswith("-") and not editable:
        return None
    text = OPTIONS.sub("", editable[1] if editable else line).strip()
    text, *markers = MARKER.split(text, maxsplit=1)
    named = NAMED.fullmatch(text)
    parts = named or EXTRAS.fullmatch(text.strip("'\""))
    at, extras = (parts["at"].strip(), parts["extras"] or "") if parts else (text.strip("'\""), "")
    place = _place(at, folders, is_path=bool(editable or named))
    if not place:
        return None
    digests = tuple(each.lower() for each in SHA256.findall(line))
    if digests and not is_path(place):
        place += "" if "#" in place else f"#sha256={','.join(digests)}"
        digests = ()
    asked = tuple(each.strip() for each in extras.split(",") if each.strip())
    return Local(place, named["name"] if named else "", asked, "".join(markers), sha256=digests)


def _place(at: str, folders: Sequence[Path], *, is_path: bool) -> str:
    """Return where something lies: an absolute path, or an address; empty where an index is asked.

    Without `is_path` a path has to look like one.
    """
    try:
        parts = urlsplit(at)
    except ValueError as exc:
        raise ImageBuildError(
            f"{hide_logins(at)} is no address ({hide_logins(str(exc))}); correct it"
        ) from exc
    if at.startswith(GIT):
        return at
    if parts.scheme == "file":
        below = fragment_of(at).get("subdirectory", "")
        return _path(Path(unquote(parts.path), below), folders)
    if "://" in at:
        return at if parts.path.endswith(ARCHIVES) else ""
    looks_so = "/" in at or at.startswith(".") or at.endswith((WHEEL, *ARCHIVES))
    return _path(Path(at), folders) if is_path or looks_so else ""


def _path(path: Path, folders: Sequence[Path]) -> str:
    known = [(folder / path.expanduser()).resolve() for folder in folders]
    return str(next((each for each in known if each.is_file() or is_package(each)), known[0]))


def is_package(folder: Path) -> bool:
    """Whether a wheel can be built of a folder."""
    return any((folder / name).exists() for name in BUILT_BY)


def is_path(place: str) -> bool:
    """Whether a place is a folder or a file of this machine."""
    return "://" not in place


def fragment_of(address: str) -> dict[str, str]:
    """Return what an address has after its ``#``, by name."""
    parts = urlsplit(address).fragment.split("&")
    return dict(part.partition("=")[::2] for part in parts)


@dataclass
class _Found:
    project: Path
    requirements: list[str] = field(default_factory=list)
    constraints: list[str] = field(default_factory=list)
    local: list[Local] = field(default_factory=list)


def _follow(
    lines: Iterable[str], folder: Path, found: _Found, depth: int, *, is_limit: bool
) -> None:
    """Gather lines, those of the files that they include in their place."""
    for line in lines:
        if included := INCLUDE.fullmatch(line):
            path = folder / included[2].strip("'\"")
            if not depth:
                raise ImageBuildError(f"{path.name} is included by itself, or too deep")
            limits = is_limit or included[1] in ("-c", "--constraint")
            _follow(file_lines(path), path.parent, found, depth - 1, is_limit=limits)
        elif local := local_of(line, found.project, folder):
            if is_limit:
                raise ImageBuildError(
                    f"a file of constraints has {hide_logins(line)!r}, which says where a package"
                    " is from: write it among the requirements"
                )
            found.local.append(local)
        else:
            (found.constraints if is_limit else found.requirements).append(
                _moved(line, found.project, folder)
            )


def _moved(line: str, *folders: Path) -> str:
    """Return a line that holds in any folder: a folder of wheels has to be found from there."""
    links = LINKS.fullmatch(line)
    if not links or "://" in links[2]:
        return line
    path = Path(links[2].strip("'\"")).expanduser()
    known = [(folder / path).resolve() for folder in folders]
    return f"--find-links {next(filter(Path.exists, known), known[0]).as_uri()}"

"""Reads what a `pyproject.toml` needs, and where its ``[tool.uv.sources]`` takes it from."""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from kernelext.errors import ImageBuildError
from kernelext.image.lines import GIT, read_lines
from kernelext.image.logins import hide_logins
from kernelext.image.wanted import Local, Wanted
from kernelext.recipe import normal_name

REVISIONS = ("rev", "tag", "branch")
TEXTS = (*REVISIONS, "git", "url", "path", "subdirectory", "marker")  # of a source


def read_pyproject(path: Path, source: str) -> Wanted:
    """Read the dependencies of ``[project]``.

    Parameters
    ----------
    path : Path
    source : str
        What it is called in messages.

    Raises
    ------
    ImageBuildError
        It cannot be read, has none, or takes one from where only a lock says.
    """
    table = read_table(path, source)
    needs = _table(table, source, "project").get("dependencies")
    if not isinstance(needs, list):
        raise ImageBuildError(f"{source} has no [project] with `dependencies`; write them there")
    wanted = _read_needs(table, path, source)
    return replace(
        wanted,
        local=tuple(_with_below(wanted.local, source)),
        requires_python=required_python(table["project"], source),
    )


def required_python(table: Mapping[str, Any], source: str) -> str:
    """Return the ``requires-python`` of a table; empty where it has none.

    Raises
    ------
    ImageBuildError
        It is no condition.
    """
    text = table.get("requires-python", "")
    try:
        return str(SpecifierSet(text))
    except (InvalidSpecifier, TypeError, AttributeError) as exc:
        raise ImageBuildError(
            f"{source} has `requires-python = {text!r}`, which cannot be read; write a condition"
            ' such as ">=3.10"'
        ) from exc


def indexes_of(project: Path) -> list[str]:
    """Return the package indexes in a project's settings of uv, as ``NAME=URL``."""
    found: list[str] = []
    for name, keys in (("uv.toml", ()), ("pyproject.toml", ("tool", "uv"))):
        # What is wrong in them is said by uv, whose settings they are.
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError, KeyError):
            table = tomllib.loads((project / name).read_text(encoding="utf-8"))
            for key in keys:
                table = table[key]
            found += [f"{each.get('name', '')}={each['url']}" for each in table["index"]]
    return found


def _with_below(found: Iterable[Local], source: str) -> list[Local]:
    """Return packages, and those that their own sources in turn take from elsewhere."""
    everything = list(found)
    for local in everything:  # it grows
        path = Path(local.place, "pyproject.toml")
        if path.exists():
            names = {normal_name(each.name) for each in everything}
            more = _read_needs(read_table(path, str(path)), path, source).local
            everything += [each for each in more if normal_name(each.name) not in names]
    return everything


def _read_needs(table: Mapping[str, Any], path: Path, source: str) -> Wanted:
    needs = _table(table, source, "project").get("dependencies", ())
    known = _table(table, source, "tool", "uv", "sources")
    sources = {normal_name(name): _entries(each, name, source) for name, each in known.items()}
    if not isinstance(needs, list | tuple):
        raise ImageBuildError(f"{source} has `dependencies` that are no list; write one")
    lines = [line for need in needs for line in _lines(str(need), sources, path, source)]
    return read_lines(lines, path.parent, source)


def read_table(path: Path, source: str) -> dict[str, Any]:
    """Read a file in TOML.

    Raises
    ------
    ImageBuildError
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise ImageBuildError(f"{source} cannot be read: {exc}") from exc


def _table(table: Mapping[str, Any], source: str, *keys: str) -> Mapping[str, Any]:
    """Return a table within another, an empty one where it is not there."""
    for count, key in enumerate(keys, 1):
        table = table.get(key, {})
        if not isinstance(table, Mapping):
            name = ".".join(keys[:count])
            raise ImageBuildError(f"{source} has a `{name}` that is no table; write [{name}]")
    return table


def _entries(found: object, name: str, source: str) -> list[Mapping[str, Any]]:
    """Return the sources of one package."""
    entries: list[Any] = found if isinstance(found, list) else [found]
    for entry in entries:
        if not isinstance(entry, Mapping) or not all(
            isinstance(entry[key], str) for key in TEXTS if key in entry
        ):
            raise ImageBuildError(
                f"{source} takes {name} in [tool.uv.sources] from {hide_logins(repr(entry))}, which"
                f' is no source; write such as `{name} = {{ path = "FOLDER" }}`'
            )
    return entries


def _lines(
    need: str, sources: Mapping[str, Sequence[Mapping[str, Any]]], path: Path, source: str
) -> Iterator[str]:
    """Yield a dependency as lines of a requirements file, one for each of its sources."""
    try:
        requirement = Requirement(need)
    except InvalidRequirement:  # a path relative to the project may be none
        yield need
        return
    known = sources.get(normal_name(requirement.name), ())
    entries = [each for each in known if not {"extra", "group"} & each.keys()]  # none is asked
    if not entries:
        yield need
    for entry in entries:
        at = _place(entry, requirement.name, path)
        if not at:
            raise ImageBuildError(
                f"{source} takes {requirement.name} from a source that only a lock says: run"
                " `uv lock` in its folder"
            )
        extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
        markers = [f"({each})" for each in (requirement.marker, entry.get("marker")) if each]
        condition = f" ; {' and '.join(markers)}" if markers else ""
        yield f"{requirement.name}{extras} @ {at}{condition}"


def _place(entry: Mapping[str, Any], name: str, path: Path) -> str:
    """Return where one entry takes a package from; empty where it is not known."""
    below = f"#subdirectory={entry['subdirectory']}" if "subdirectory" in entry else ""
    if "git" in entry:
        revision = next((f"@{entry[key]}" for key in REVISIONS if key in entry), "")
        return f"{GIT}{entry['git']}{revision}{below}"
    if "url" in entry:
        return f"{entry['url']}{below}"
    if "path" in entry:
        return str((path.parent / entry["path"]).resolve())
    return _member(name, path) if entry.get("workspace") else ""


def _member(name: str, path: Path) -> str:
    """Return the folder of a workspace's member; empty where there is none."""
    for root in path.resolve().parents:
        file = root / "pyproject.toml"
        whole = read_table(file, str(file)) if file.exists() else {}
        members = _table(whole, str(file), "tool", "uv", "workspace").get("members", ())
        for found in (each for pattern in members for each in sorted(root.glob(pattern))):
            own = found / "pyproject.toml"
            project = _table(read_table(own, str(own)), str(own), "project") if own.exists() else {}
            if normal_name(str(project.get("name", ""))) == normal_name(name):
                return str(found)
    return ""

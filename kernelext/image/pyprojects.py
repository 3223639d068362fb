"""Reads what a `pyproject.toml` needs, and where its ``[tool.uv.sources]`` takes it from."""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from kernelext.errors import ImageBuildError
from kernelext.image.lines import GIT, read_lines
from kernelext.image.wanted import Local, Wanted
from kernelext.recipe import normal_name

REVISIONS = ("rev", "tag", "branch")


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
    table = _read(path, source)
    needs = table.get("project", {}).get("dependencies")
    if not isinstance(needs, list):
        raise ImageBuildError(f"{source} has no [project] with `dependencies`; write them there")
    wanted = _read_needs(table, path, source)
    return replace(wanted, local=tuple(_with_below(wanted.local, source)))


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
            more = _read_needs(_read(path, str(path)), path, source).local
            everything += [each for each in more if normal_name(each.name) not in names]
    return everything


def _read_needs(table: Mapping[str, Any], path: Path, source: str) -> Wanted:
    needs = table.get("project", {}).get("dependencies", ())
    known = table.get("tool", {}).get("uv", {}).get("sources", {})
    sources = {normal_name(name): each for name, each in known.items()}
    lines = [line for need in needs for line in _lines(str(need), sources, path, source)]
    return read_lines(lines, path.parent, source)


def _read(path: Path, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise ImageBuildError(f"{source} cannot be read: {exc}") from exc


def _lines(need: str, sources: Mapping[str, Any], path: Path, source: str) -> Iterator[str]:
    """Yield a dependency as lines of a requirements file, one for each of its sources."""
    try:
        requirement = Requirement(need)
    except InvalidRequirement:  # a path relative to the project may be none
        yield need
        return
    entries = sources.get(normal_name(requirement.name), [])
    entries = [entries] if isinstance(entries, Mapping) else entries
    entries = [each for each in entries if not {"extra", "group"} & each.keys()]  # none is asked
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
        workspace = _read(file, str(file)) if file.exists() else {}
        members = workspace.get("tool", {}).get("uv", {}).get("workspace", {}).get("members", ())
        for found in (each for pattern in members for each in sorted(root.glob(pattern))):
            own = found / "pyproject.toml"
            project = _read(own, str(own)).get("project", {}) if own.exists() else {}
            if normal_name(str(project.get("name", ""))) == normal_name(name):
                return str(found)
    return ""

"""From what a notebook and its project import to distributions, in the versions installed here."""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kernelext.cell.magics import to_python
from kernelext.errors import CellSyntaxError
from kernelext.image.installed import local_of_installed
from kernelext.image.locals import is_gone
from kernelext.image.wanted import Wanted
from kernelext.recipe import normal_name

# What values travel by in their better forms (DESIGN 5), beside the library that they are of.
COMPANIONS = {
    "numpy": ("blosc2",),
    "pandas": ("pyarrow",),
    "polars": ("pyarrow",),
    "scipy": ("tables",),
}
ALWAYS = ("ipython",)  # for magics, displays and tracebacks as they are here
OWN = ("kernelext",)
IMPORTED = "what the project imports"


@dataclass(frozen=True)
class Imports:
    """What was found.

    Attributes
    ----------
    wanted : Wanted
    unknown : tuple of str
        Modules that are imported somewhere and not installed here.
    """

    wanted: Wanted
    unknown: tuple[str, ...]


def imports_of_project(project: Path, files: Iterable[str]) -> set[str]:
    """Return the top-level modules that a project's programs and notebooks import.

    Parameters
    ----------
    project : Path
    files : iterable of str
        Its files, relative to it.
    """
    paths = [Path(file) for file in files]
    own = {path.parts[0].removesuffix(".py") for path in paths if path.suffix == ".py"}
    # A file deeper down may have the name of a library and be imported by no such name.
    deeper = {path.stem for path in paths if path.suffix == ".py"}
    own |= deeper - distributions_by_module().keys()
    found: set[str] = set()
    for path in paths:
        if path.suffix == ".py":
            found |= _imported(_text(project / path))
        elif path.suffix == ".ipynb":
            for cell in _cells(project / path):
                found |= _imported(cell)
    return found - own


def environment_of(modules: Iterable[str]) -> Imports:
    """Name the distributions behind modules, as they are installed here.

    All that is installed here limits what they need besides, so that it comes in the same
    versions where the image's Python has them.
    """
    versions = _installed()
    distributions = distributions_by_module()
    names: set[str] = set()
    unknown: set[str] = set()
    for module in set(modules) - sys.stdlib_module_names - {"__main__"}:
        found = {normal_name(name) for name in distributions.get(module, ())} - set(OWN)
        names |= found
        if not found and module not in OWN:
            unknown.add(module)
    names |= {name for name in ALWAYS if name in versions}
    needed = _closure(names)
    names |= {
        name
        for library, companions in COMPANIONS.items()
        if library in needed
        for name in companions
        if name in versions
    }
    elsewhere = {name: local for name in versions if (local := local_of_installed(name))}
    here = {name for name, local in elsewhere.items() if not is_gone(local)} - set(OWN)
    requirements = sorted(f"{name}=={versions[name]}" for name in names - elsewhere.keys())
    limits = sorted(f"{name}=={versions[name]}" for name in versions.keys() - here - set(OWN))
    # What they need and is from no index either has to be brought, too.
    brought = sorted((names & elsewhere.keys()) | (needed & here))
    own = tuple(elsewhere[name] for name in brought)
    wanted = Wanted(IMPORTED, tuple(requirements), tuple(limits), own)
    return Imports(wanted, tuple(sorted(unknown)))


def distribution_of(module: str) -> str:
    """Return ``NAME VERSION`` of what a module is installed by here, or an empty text."""
    names = distributions_by_module().get(module, ())
    return f"{names[0]} {importlib.metadata.version(names[0])}" if names else ""


def distributions_by_module() -> dict[str, list[str]]:
    """Return the distributions installed here by the top-level modules that they have.

    The library's own function of this kind fails, or names none, where one of them is broken.
    """
    found: dict[str, list[str]] = {}
    for each in importlib.metadata.distributions():
        if name := _name(each):
            declared = (each.read_text("top_level.txt") or "").split()
            for module in declared or _top_level(each):
                found.setdefault(module, []).append(name)
    return found


def _top_level(distribution: importlib.metadata.Distribution) -> set[str]:
    """Return the modules that a distribution's files are."""
    files = [file for file in distribution.files or () if inspect.getmodulename(file.name)]
    names = {file.parts[0] if len(file.parts) > 1 else file.name for file in files}
    return {name.partition(".")[0] for name in names if name.partition(".")[0].isidentifier()}


def _name(distribution: importlib.metadata.Distribution) -> str:
    """Return what a distribution is called; empty for one whose metadata is gone."""
    try:
        return distribution.metadata["Name"] or ""
    except (TypeError, KeyError, OSError):  # by the version of Python
        return ""


def _installed() -> dict[str, str]:
    found: dict[str, str] = {}
    for each in importlib.metadata.distributions():
        name = _name(each)
        if name and each.version:
            found.setdefault(normal_name(name), each.version)
    return found


def _closure(names: Iterable[str]) -> set[str]:
    """Return what distributions need of what is installed here, themselves included."""
    found: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found.add(name)
        matches = (re.match(r"[A-Za-z0-9._-]+", line) for line in _needs(name))
        todo += [normal_name(match.group()) for match in matches if match]
    return found


def _needs(name: str) -> list[str]:
    """Return what a distribution needs without extras, as its metadata says it."""
    try:
        lines = importlib.metadata.requires(name) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    return [line for line in lines if "extra ==" not in line]


def _imported(code: str) -> set[str]:
    """Return the top-level modules that code imports, wherever in it."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError):
        return set()
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def _cells(notebook: Path) -> Iterator[str]:
    """Yield the code of a notebook's cells, with Python for lines that are IPython's."""
    try:
        cells = json.loads(_text(notebook)).get("cells", ())
    except (ValueError, AttributeError):
        return
    for cell in cells:
        if isinstance(cell, Mapping) and cell.get("cell_type") == "code":
            source = cell.get("source", "")
            yield _plain(source if isinstance(source, str) else "".join(source))


def _plain(cell: str) -> str:
    """Return a cell as Python; what is for the notebook's own kernel alone imports nothing."""
    lines = cell.splitlines()
    for _ in range(len(lines) + 1):
        try:
            return to_python("\n".join(lines)).text
        except CellSyntaxError as error:  # of one line, such as `%%remote` or `%history`
            number = (error.line or 1) - 1
            indent = lines[number][: len(lines[number]) - len(lines[number].lstrip())]
            lines[number] = f"{indent}pass"
    return ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

"""The environment of the user's project: what its image is to hold, read from its files."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, replace
from pathlib import Path

from kernelext.bundle import survey_project
from kernelext.history import data_dir
from kernelext.hosts.config import ImageTable
from kernelext.image import Environment, Wanted, tags_in_use
from kernelext.image.importing import Imports, imports_of_project
from kernelext.image.importing import environment_of as environment_of_modules
from kernelext.image.lines import read_lines
from kernelext.image.reading import read_source
from kernelext.image.recipes import read_recipe
from kernelext.image.wanted import project_key
from kernelext.verbs.context import Context

IMPORTS = "imports"


def environment_of(context: Context) -> Environment | None:
    """Return the project's environment; None where it has asked for none.

    Raises
    ------
    ImageBuildError
        A file that ``[image]`` names cannot be read.
    """
    table = context.settings.environment
    if table is None and (context.settings.image or not _noted_path(context).exists()):
        return None
    table = table or ImageTable()
    if table.source == IMPORTS:
        wanted = _noted(context) or note_imports(context).wanted
    else:
        wanted = read_source(context.project, table.source)
    if table.packages:
        more = read_lines(table.packages, context.project, "`packages` of [image]")
        wanted = wanted.with_more(more)
    if table.apt:
        wanted = replace(wanted, apt=(*wanted.apt, *table.apt))
    home = data_dir(context.environ)
    return Environment(context.project, wanted, table.base, home, context.environ)


def environment_of_recipe(context: Context, name: str) -> Environment:
    """Return the environment of a recipe that comes with kernelext.

    Raises
    ------
    ImageBuildError
        There is none of that name.
    """
    base, wanted = read_recipe(name)
    home = data_dir(context.environ)
    return Environment(context.project, wanted, base, home, context.environ, name)


def projects_by_tag(context: Context) -> dict[str, set[str]]:
    """Return which projects of this machine use an image now, by what it is called."""
    return tags_in_use(data_dir(context.environ))


def note_imports(context: Context) -> Imports:
    """Look for what the project imports now, and keep it until the user asks again."""
    files = survey_project(context.project).sizes
    modules = imports_of_project(context.project, files)
    modules |= _modules(context)
    found = environment_of_modules(modules)
    path = _noted_path(context)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(found.wanted)))
    return found


def _noted(context: Context) -> Wanted | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return Wanted.from_json(json.loads(_noted_path(context).read_text()))
    return None


def _noted_path(context: Context) -> Path:
    name = f"{project_key(context.project)}.imports.json"
    return data_dir(context.environ) / "images" / name


def _modules(context: Context) -> set[str]:
    """Return the top-level modules that the notebook has imported, or holds something of."""
    found = set()
    for value in (context.namespace or {}).values():
        name = getattr(value, "__name__", "") if _is_module(value) else None
        name = name or getattr(value, "__module__", None) or type(value).__module__
        if isinstance(name, str):
            found.add(name.partition(".")[0])
    return found


def _is_module(value: object) -> bool:
    return type(value).__name__ == "module"

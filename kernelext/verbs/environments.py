"""The environment of the user's project: what its image is to hold, read from its files."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from kernelext.bundle import survey_project
from kernelext.errors import ImageBuildError
from kernelext.history import data_dir
from kernelext.hosts.config import ImageTable
from kernelext.image import Environment, Wanted, tags_in_use
from kernelext.image.dockerfile import require_no_base
from kernelext.image.importing import IMPORTED, Imports, imports_of_project
from kernelext.image.importing import environment_of as environment_of_modules
from kernelext.image.lines import read_lines
from kernelext.image.reading import read_source
from kernelext.image.recipes import read_recipe, recipe_names
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
        wanted = _read(context, table.source)
    if wanted.dockerfile is not None:
        require_no_base(table.source, table.base)
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


def is_file_of(context: Context, name: str) -> bool:
    """Whether a name is that of a file or a folder of the project, and of no recipe."""
    return name not in recipe_names() and (context.project / name).exists()


def environment_of_file(context: Context, source: str) -> Environment:
    """Have the project's image made of a file from now on, and return its environment.

    Raises
    ------
    ImageBuildError
        The file cannot be read, or `kernelext.toml` names another.
    """
    require_no_other(context, source)
    _read(context, source)
    if context.settings.environment is None or context.settings.environment.source == IMPORTS:
        _note(context, {"from": source})
    environment = environment_of(context)
    assert environment is not None
    return environment


def require_no_other(context: Context, source: str) -> None:
    """Refuse to make the project's image of something else than its `kernelext.toml` says.

    Raises
    ------
    ImageBuildError
    """
    table, written = context.settings.environment, f'from = "{source}"'
    if table is not None and table.source not in (IMPORTS, source):
        raise ImageBuildError(
            f"[image] of kernelext.toml says that this project's image is made of {table.source};"
            f" write {written} there"
        )
    require_no_ready_image(context, source)


def require_no_ready_image(context: Context, source: str) -> None:
    """Refuse to make an image of a source for a project whose `kernelext.toml` names a ready one.

    Raises
    ------
    ImageBuildError
    """
    if context.settings.environment is None and context.settings.image:
        raise ImageBuildError(
            f"kernelext.toml has this project's cells run in {context.settings.image}, a ready"
            f' image; write [image] with from = "{source}" there instead'
        )


def is_of_imports(context: Context) -> bool:
    """Whether the project's image holds what is imported: no file was named for it."""
    table = context.settings.environment
    if table is not None and table.source != IMPORTS:
        return False
    noted = _noted(context)
    return noted is None or noted.source == IMPORTED


def projects_by_tag(context: Context) -> dict[str, set[str]]:
    """Return which projects of this machine use an image now, by what it is called."""
    return tags_in_use(data_dir(context.environ))


def note_imports(context: Context) -> Imports:
    """Look for what the project imports now, and keep it until the user asks again."""
    files = survey_project(context.project).sizes
    modules = imports_of_project(context.project, files)
    modules |= _modules(context)
    found = environment_of_modules(modules)
    _note(context, asdict(found.wanted))
    return found


def _note(context: Context, data: Mapping[str, Any]) -> None:
    path = _noted_path(context)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))


def _noted(context: Context) -> Wanted | None:
    """Return what the last `image build` was about; None where nothing is known of one."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        data = json.loads(_noted_path(context).read_text())
        return _read(context, data["from"]) if "from" in data else Wanted.from_json(data)
    return None


def _read(context: Context, source: str) -> Wanted:
    return read_source(context.project, source, context.settings.upload_limit_bytes)


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

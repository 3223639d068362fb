"""The configuration of an image that is built: its base's, with more layers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kernelext.recipe import CONDA_PREFIX, Recipe

CREATED = "1980-01-01T00:00:00Z"
ENGINES_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
OF_BASES_PYTHON = ("PYTHONHOME", "PYTHONPATH")


def image_config(
    base: Mapping[str, Any],
    recipe: Recipe,
    diff_ids: Sequence[str],
    activation: Mapping[str, str],
) -> bytes:
    """Write a configuration, as `docker load` reads it.

    Parameters
    ----------
    base : mapping
        What the engine says of the base.
    recipe : Recipe
    diff_ids : sequence of str
        The digests of all layers, those of the base first.
    activation : mapping of str to str
        The variables that packages of conda set.
    """
    below = len(base["RootFS"]["Layers"])
    history = [{"created": CREATED, "created_by": "base"}] * below
    history += [{"created": CREATED, "created_by": "kernelext"}] * (len(diff_ids) - below)
    settings = {key: value for key, value in (base["Config"] or {}).items() if value}
    if recipe.conda:
        given = settings.get("Env", ())
        variables = conda_variables(given, is_first=recipe.has_conda_python)
        settings["Env"] = [f"{key}={text}" for key, text in {**variables, **activation}.items()]
    config = {
        "architecture": base["Architecture"],
        "os": base["Os"],
        "created": CREATED,
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
        "history": history,
    }
    return json.dumps(config, sort_keys=True).encode()


def conda_variables(given: Iterable[str], *, is_first: bool) -> dict[str, str]:
    """Return an image's variables with which conda's programs are found.

    Parameters
    ----------
    given : iterable of str
        The base's, ``NAME=VALUE``.
    is_first : bool
        Whether conda's Python is the image's: its programs then go before the base's, and what is
        for the base's Python alone is left out.

    Examples
    --------
    >>> conda_variables(["PATH=/bin", "PYTHONPATH=/x"], is_first=True)
    {'PATH': '/opt/kernelext/bin:/bin', 'CONDA_PREFIX': '/opt/kernelext'}
    """
    variables = dict(each.partition("=")[::2] for each in given)
    own, path = f"{CONDA_PREFIX}/bin", variables.get("PATH") or ENGINES_PATH
    variables["PATH"] = f"{own}:{path}" if is_first else f"{path}:{own}"
    variables["CONDA_PREFIX"] = CONDA_PREFIX
    if is_first:
        for name in OF_BASES_PYTHON:
            variables.pop(name, None)
    return variables

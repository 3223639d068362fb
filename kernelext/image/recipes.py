"""The base images that come with kernelext: what they are built of, by name."""

from __future__ import annotations

import tomllib
from importlib.resources import files

from kernelext.errors import ImageBuildError
from kernelext.image.wanted import Wanted


def recipe_names() -> list[str]:
    """Return what there is."""
    found = files("kernelext").joinpath("images").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in found if file.name.endswith(".toml"))


def read_recipe(name: str) -> tuple[str, Wanted]:
    """Return a recipe's base image and what it is to hold.

    Raises
    ------
    ImageBuildError
        There is none of that name.
    """
    if name not in recipe_names():
        raise ImageBuildError(
            f"no recipe is called {name}; there are {', '.join(recipe_names())}, and without a name"
            " the project's own image is built"
        )
    table = tomllib.loads(files("kernelext").joinpath("images", f"{name}.toml").read_text("utf-8"))
    packages, apt = tuple(table["packages"]), tuple(table.get("apt", ()))
    return table["base"], Wanted(f"the recipe {name}", packages, apt=apt)

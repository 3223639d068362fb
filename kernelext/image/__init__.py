"""The notebook's environment as an image on a host, without a registry. Runs no cell."""

from kernelext.image.environment import Built, Environment
from kernelext.image.finding import find_image
from kernelext.image.notes import tags_built, tags_in_use
from kernelext.image.recipes import recipe_names
from kernelext.image.travel import load_image, packed_bytes, save_image
from kernelext.image.wanted import Wanted

__all__ = [
    "Built",
    "Environment",
    "Wanted",
    "find_image",
    "load_image",
    "packed_bytes",
    "recipe_names",
    "save_image",
    "tags_built",
    "tags_in_use",
]

"""The notebook's environment as an image on a host, without a registry. Runs no cell."""

from kernelext.image.environment import Environment
from kernelext.image.wanted import Wanted

__all__ = ["Environment", "Wanted"]

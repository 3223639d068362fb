"""Reads a cell's source: names in, names out; executes nothing."""

from kernelext.cell.names import CellNames, read_cell
from kernelext.cell.reach import reach

__all__ = ["CellNames", "reach", "read_cell"]

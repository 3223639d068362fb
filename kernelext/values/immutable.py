"""Which values cannot have been changed in place."""

from __future__ import annotations

import sys
from types import BuiltinFunctionType, FunctionType, ModuleType

ATOMS = frozenset(
    {
        str,
        int,
        float,
        bool,
        complex,
        bytes,
        range,
        type(None),
        type(Ellipsis),
        type(NotImplemented),
    }
)


def is_immutable(value: object) -> bool:
    """Whether a value cannot have been changed in place, so needs no comparison.

    Parameters
    ----------
    value : object

    Returns
    -------
    bool
        True for atoms (str, int, float, bool, None, complex, bytes, range, numpy scalars),
        tuples and frozensets of these, modules, built-in functions and methods of what cannot
        change, classes of importable modules, and functions without attributes whose defaults
        and closure are immutable.
    """
    kind = type(value)
    if kind in ATOMS or isinstance(value, ModuleType):
        return True
    if isinstance(value, (tuple, frozenset)) and kind in (tuple, frozenset):
        return all(map(is_immutable, value))
    if isinstance(value, BuiltinFunctionType):
        return _is_plain_built_in(value)
    if isinstance(value, (FunctionType, type)) and _is_importable(value):
        return True  # travels as its name
    if isinstance(value, FunctionType):
        return _is_plain_function(value)
    numpy = sys.modules.get("numpy")
    return (
        numpy is not None
        and isinstance(value, numpy.generic)
        and kind.__module__ == "numpy"
        and value.dtype.kind not in "VO"
    )


def _is_importable(value: FunctionType | type) -> bool:
    home = sys.modules.get(value.__module__)
    return value.__module__ != "__main__" and getattr(home, value.__name__, None) is value


def _is_plain_built_in(function: BuiltinFunctionType) -> bool:
    """Tell methods of what may change, such as `found.append`, from the others.

    `random.random` is a function to all who use it, though it is its module's generator's method.
    """
    owner = function.__self__
    if owner is None or isinstance(owner, type) or is_immutable(owner):
        return True
    library = type(owner).__module__
    home = None if library == "__main__" else sys.modules.get(library)
    return getattr(home, function.__name__, None) == function


def _is_plain_function(function: FunctionType) -> bool:
    if function.__dict__:
        return False
    try:
        held = [cell.cell_contents for cell in function.__closure__ or ()]
    except ValueError:  # a cell not yet filled
        return False
    held += [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    # A function may hold itself, through others too.
    if any(isinstance(each, FunctionType) and not _is_importable(each) for each in held):
        return False
    return all(map(is_immutable, held))

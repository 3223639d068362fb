"""What an array, a column or a frame of objects holds, and where; numbers are not looked at."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

from kernelext.holding import Held


def elements(value: Any) -> Iterator[Held]:
    """Yield the objects in a numpy array, and the columns of objects of a pandas frame.

    Parameters
    ----------
    value : object
        Of another type, it yields nothing; a subclass of the notebook's could run code.
    """
    kind = type(value)
    library = kind.__module__.partition(".")[0]
    if library == "numpy" and getattr(getattr(value, "dtype", None), "char", "") == "O":
        if kind.__name__ in ("ndarray", "MaskedArray"):
            keys = range(value.size) if value.ndim == 1 else product(*map(range, value.shape))
            yield Held("{}[{}]", keys, value.flat)
    elif library == "pandas" and kind.__name__ == "DataFrame":
        columns = {name: column for name, column in value.items() if column.dtype == object}
        yield Held("{}[{}]", columns, columns.values())
    elif library == "pandas" and kind.__name__ in ("Series", "Index") and value.dtype == object:
        keys = value.index if kind.__name__ == "Series" else range(len(value))
        yield Held("{}[{}]", keys, value.to_numpy())

"""What numpy's own descriptions of dtypes leave out, how processors lay out long doubles too."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

LAYOUT = re.compile(r" \((\d+-bit mantissa)\)$")


class WrongProcessor(Exception):
    """Bytes hold long doubles of another kind of processor."""


def is_described(dtype: Any) -> bool:
    """Whether a dtype has none of what .npy leaves out and `==` does not see."""
    return all(map(_is_described, _parts(dtype)))


def _is_described(dtype: Any) -> bool:
    import numpy as np

    is_own_class = dtype.fields is not None and dtype.type is not np.void  # such as a record
    return not (dtype.isalignedstruct or dtype.metadata or is_own_class)


def has_long_doubles(dtype: Any) -> bool:
    """Whether an array of a dtype holds long doubles, perhaps complex or in a field.

    They have 16 bytes on x86 and on ARM alike, and the same dtype; but their bits differ.
    """
    return any(part.char in "gG" for part in _parts(dtype))


@functools.cache
def layout() -> str:
    """Return how this processor lays out a long double."""
    import numpy as np

    return f"{np.finfo(np.longdouble).nmant}-bit mantissa"


def check(theirs: str) -> None:
    """Refuse another layout.

    Raises
    ------
    WrongProcessor
    """
    if theirs != layout():
        raise WrongProcessor(
            f"holds long doubles with a {theirs}, and those of this processor have a {layout()}: "
            "make them float64 first, or choose a host whose processor is of the same kind"
        )


def describe(dtype: Any) -> str:
    """Return a dtype as a text, with the layout of its long doubles.

    >>> import numpy
    >>> describe(numpy.dtype("f8"))
    'float64'
    """
    return f"{dtype} ({layout()})" if has_long_doubles(dtype) else str(dtype)


def without_layout(text: str) -> str:
    """Return the dtype's own text out of what `describe` said."""
    return LAYOUT.sub("", text)


def check_description(text: str) -> None:
    """Refuse what `describe` said on a processor with another layout.

    Raises
    ------
    WrongProcessor
    """
    found = LAYOUT.search(text)
    if found:
        check(found[1])


def reductions() -> dict[type, Callable[[Any], Any]]:
    """Return how the dtypes of long doubles are pickled, by their types.

    Whatever holds long doubles, an array, a number or a frame, pickles their dtype beside them.
    """
    return _reductions() if "numpy" in sys.modules else {}


@functools.cache
def _reductions() -> dict[type, Callable[[Any], Any]]:
    import numpy as np

    return {type(np.dtype(letter)): _reduce for letter in "gG"}


def _reduce(dtype: Any) -> Any:
    _, arguments, state = dtype.__reduce__()
    return _long_double, (layout(), *arguments), state


def _long_double(theirs: str, *arguments: Any) -> Any:
    import numpy as np

    check(theirs)
    return np.dtype(*arguments)


def _parts(dtype: Any) -> Iterator[Any]:
    """Give a dtype and all within it, the fields and the elements."""
    yield dtype
    if dtype.subdtype:
        yield from _parts(dtype.base)
    for field in (dtype.fields or {}).values():
        yield from _parts(field[0])

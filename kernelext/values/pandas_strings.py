"""How pandas' strings go into a pickle: as strings, not as buffers of an Arrow that is not there.

With pyarrow installed pandas keeps strings in Arrow, and its own pickles of them cannot be read
without pyarrow. Here they become what the reader's pandas makes of strings.
"""

from __future__ import annotations

from typing import Any

from kernelext.values.abilities import own_abilities

KINDS = (
    "StringDtype",
    "ArrowStringArray",
    "ArrowStringArrayNumpySemantics",
    "StringArray",
    "StringArrayNumpySemantics",
)


def is_usual_string(obj: object) -> bool:
    """Whether an object is pandas' array of strings, or its dtype, as it is usual here."""
    kind = type(obj)
    if not kind.__module__.startswith("pandas.") or kind.__name__ not in KINDS:
        return False
    dtype: Any = obj if kind.__name__ == "StringDtype" else obj.dtype  # type: ignore[attr-defined]
    has_arrow = "pyarrow" in own_abilities()
    return bool((dtype.storage != "python") == has_arrow)


def reduce_usual_string(obj: Any) -> Any:
    """Reduce to strings, None where one is missing, and what stands for that."""
    if type(obj).__name__ == "StringDtype":
        return _dtype, (_is_nan(obj),)
    return _array, (obj.to_numpy(dtype=object, na_value=None).tolist(), _is_nan(obj.dtype))


def _is_nan(dtype: Any) -> bool:
    return isinstance(dtype.na_value, float)


def _dtype(is_nan: bool) -> Any:
    import pandas

    return pandas.StringDtype(na_value=float("nan")) if is_nan else pandas.StringDtype()


def _array(values: list[Any], is_nan: bool) -> Any:
    import pandas

    return pandas.array(values, dtype=_dtype(is_nan))

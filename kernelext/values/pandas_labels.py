"""The labels of a frame's columns as plain values, and whether two indexes are the same."""

from __future__ import annotations

import struct
from typing import Any


def spec_of(index: Any) -> dict[str, Any]:
    """Return an index as a plain value; one that is made of others may not give itself back."""
    import pandas

    names = list(index.names)
    if isinstance(index, pandas.RangeIndex):
        return {"names": names, "range": [index.start, index.stop, index.step]}
    if isinstance(index, pandas.MultiIndex):
        levels = [spec_of(level) for level in index.levels]
        codes = [[int(code) for code in column] for column in index.codes]
        return {"names": names, "levels": levels, "codes": codes}
    return {"names": names, "values": list(index.tolist()), "dtype": str(index.dtype)}


def index_of(spec: dict[str, Any]) -> Any:
    """Return the index that `spec_of` was given."""
    import pandas

    names = spec["names"]
    if "range" in spec:
        return pandas.RangeIndex(*spec["range"], name=names[0])
    if "levels" in spec:
        levels = [index_of(level) for level in spec["levels"]]
        return pandas.MultiIndex(levels, spec["codes"], names=names)
    return pandas.Index(spec["values"], dtype=spec["dtype"], name=names[0])


def unique_names(index: Any) -> list[str]:
    """Return a text for every label, each of them once."""
    used: set[str] = set()
    names = []
    for label in index:
        name = text = label if isinstance(label, str) else str(label)
        number = 1
        while name in used:
            number += 1
            name = f"{text} ({number})"
        used.add(name)
        names.append(name)
    return names


def same_index(one: Any, other: Any) -> bool:
    """Whether two indexes are the same in all that can be asked of them."""
    import pandas

    if type(one) is not type(other) or _names(one) != _names(other):
        return False
    if isinstance(one, pandas.RangeIndex):
        return (one.start, one.stop, one.step) == (other.start, other.stop, other.step)
    if isinstance(one, pandas.MultiIndex):
        pairs = zip(one.levels, other.levels)
        codes = zip(one.codes, other.codes)
        alike = one.nlevels == other.nlevels and all(same_index(a, b) for a, b in pairs)
        return alike and all(a.dtype == b.dtype and (a == b).all() for a, b in codes)
    return freq_of(one) == freq_of(other) and same_array(one.array, other.array)


def same_array(one: Any, other: Any) -> bool:
    """Whether two pandas arrays have the same type and the same elements."""
    if type(one) is not type(other) or one.dtype != other.dtype or len(one) != len(other):
        return False
    if hasattr(one.dtype, "tz") and type(one.dtype.tz) is not type(other.dtype.tz):
        return False
    if hasattr(one, "categories") and not same_index(one.categories, other.categories):
        return False
    if type(one).__name__ == "NumpyExtensionArray":
        one, other = one.to_numpy(), other.to_numpy()
        if one.dtype.kind == "O":
            return _same_objects(one, other)
        return bool(one.tobytes() == other.tobytes())
    return bool(one.equals(other))


def freq_of(index: Any) -> str | None:
    """Return the frequency of an index of dates or durations, as pandas writes it."""
    import pandas

    has_freq = isinstance(index, (pandas.DatetimeIndex, pandas.TimedeltaIndex))
    return index.freq.freqstr if has_freq and index.freq is not None else None


OBJECT_TYPES = frozenset({str, type(None), bytes, bool, int, float})


def _same_objects(one: Any, other: Any) -> bool:
    kinds = list(map(type, other))
    if not OBJECT_TYPES.issuperset(kinds) or kinds != list(map(type, one)):
        return False
    return all(map(_equal, one, other))


def _equal(a: Any, b: Any) -> bool:
    if type(a) is float:
        return struct.pack("d", a) == struct.pack("d", b)
    return a is b or bool(a == b)


def _names(index: Any) -> list[tuple[type, object]]:
    return [(type(name), name) for name in index.names]

"""Plain values as JSON, exactly: what JSON has no type for carries a tag.

A tag is an object with one key that begins with ``$``: ``$tuple``, ``$set``, ``$frozenset``,
``$dict`` (pairs), ``$bytes`` and ``$bytearray`` (base64), ``$complex``, ``$float`` (``nan``,
``inf``, ``-inf`` or 16 hexadecimal digits of another NaN), ``$int`` (hexadecimal, large ones)
and ``$str`` (base64 of UTF-8 with lone surrogates).
"""

from __future__ import annotations

import base64
import json
import math
import re
import struct
from collections.abc import Callable
from typing import Any

MAX_DEPTH = 100
MAX_ITEMS = 20_000  # 10-20 ms; a pickle is 20 times as fast, and inputs are encoded twice a cell
MAX_RAW_BYTES = 1_000_000  # of bytes objects, which base64 makes a third longer
PLAIN_INT_BITS = 2000  # Python's limit on decimal digits may be set as low as 640
SURROGATE = re.compile("[\ud800-\udfff]")
PLAIN_NAN = "7ff8000000000000"


class NotPlain(Exception):
    """The value is not one that this codec stores exactly."""


def may_be_plain(value: object) -> bool:
    """Whether a value's own type, what it holds aside, is one that `dumps` stores."""
    kind = type(value)
    return value is None or kind in _LEAVES or kind in _CONTAINERS or kind in _OTHERS


def dumps(value: object) -> bytes:
    """Write a plain value as canonical JSON.

    Parameters
    ----------
    value : object
        None, bool, int, float, complex, str, bytes, bytearray, or a list, tuple, dict, set or
        frozenset of these; exactly these types.

    Returns
    -------
    bytes
        UTF-8; equal for equal values. Dicts keep their order, sets are sorted.

    Raises
    ------
    NotPlain
        Another type, a mutable object that occurs twice, too deep, or too large to be
        worth it.
    """
    return _text(_Walk().tag(value, 0)).encode()


def loads(data: bytes | bytearray | memoryview) -> Any:
    """Read what `dumps` wrote.

    Raises
    ------
    ValueError, TypeError, KeyError
        The bytes are not such JSON.
    """
    return json.loads(bytes(data), object_hook=_untag)


def _text(tagged: Any) -> str:
    return json.dumps(tagged, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class _Walk:
    """One walk over a value, which remembers the mutable objects it has met."""

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.items_left = MAX_ITEMS
        self.raw_left = MAX_RAW_BYTES

    def tag(self, value: Any, depth: int) -> Any:
        if value is None or value is True or value is False:
            return value
        kind = type(value)
        if kind in _LEAVES:
            return _LEAVES[kind](value)
        if kind in (bytes, bytearray):
            return self.tag_bytes(value)
        if kind not in _CONTAINERS or depth > MAX_DEPTH:
            raise NotPlain
        self.count(value)
        if kind is dict:
            return self.tag_dict(value, depth + 1)
        if kind in (set, frozenset) and set(map(type, value)) in ({int}, {str}):
            value = sorted(value)
        items = [self.tag(item, depth + 1) for item in value]
        if kind is list:
            return items
        if type(value) in (set, frozenset):
            items.sort(key=_text)
        return {f"${kind.__name__}": items}

    def tag_bytes(self, value: bytes | bytearray) -> Any:
        self.count(value)
        self.raw_left -= len(value)
        if self.raw_left < 0:
            raise NotPlain
        return {f"${type(value).__name__}": base64.b64encode(value).decode()}

    def tag_dict(self, value: dict[Any, Any], depth: int) -> Any:
        if all(map(_is_plain_key, value)):
            return {key: self.tag(item, depth) for key, item in value.items()}
        return {"$dict": [[self.tag(k, depth), self.tag(v, depth)] for k, v in value.items()]}

    def count(self, value: Any) -> None:
        kind = type(value)
        if kind in (list, dict, set, bytearray):
            if id(value) in self.seen:  # sharing must survive, and JSON has no references
                raise NotPlain
            self.seen.add(id(value))
        if kind in _CONTAINERS:
            self.items_left -= len(value)
            if self.items_left < 0:
                raise NotPlain


def _tag_float(value: float) -> Any:
    if math.isfinite(value):
        return value
    if math.isinf(value):
        return {"$float": "inf" if value > 0 else "-inf"}
    bits = struct.pack(">d", value).hex()
    return {"$float": "nan" if bits == PLAIN_NAN else bits}


def _tag_str(value: str) -> Any:
    if value.isascii() or not SURROGATE.search(value):
        return value
    return {"$str": base64.b64encode(value.encode("utf-8", "surrogatepass")).decode()}


_CONTAINERS = frozenset({list, tuple, dict, set, frozenset})
_OTHERS = frozenset({bool, bytes, bytearray})
_LEAVES: dict[type, Callable[[Any], Any]] = {
    str: _tag_str,
    int: lambda value: value if value.bit_length() <= PLAIN_INT_BITS else {"$int": hex(value)},
    float: _tag_float,
    complex: lambda value: {"$complex": [_tag_float(value.real), _tag_float(value.imag)]},
}


def _is_plain_key(key: object) -> bool:
    return (
        type(key) is str
        and not key.startswith("$")
        and (key.isascii() or not SURROGATE.search(key))
    )


def _untag(found: dict[str, Any]) -> Any:
    if len(found) == 1:
        (key,) = found
        if key.startswith("$"):
            return _READERS[key](found[key])
    return found


def _read_float(text: str) -> float:
    if len(text) == len(PLAIN_NAN):
        return float(struct.unpack(">d", bytes.fromhex(text))[0])
    return float(text)


_READERS: dict[str, Callable[[Any], Any]] = {
    "$int": lambda text: int(text, 16),
    "$float": _read_float,
    "$complex": lambda pair: complex(*pair),
    "$str": lambda text: base64.b64decode(text).decode("utf-8", "surrogatepass"),
    "$bytes": base64.b64decode,
    "$bytearray": lambda text: bytearray(base64.b64decode(text)),
    "$tuple": tuple,
    "$set": set,
    "$frozenset": frozenset,
    "$dict": lambda pairs: {key: item for key, item in pairs},  # noqa: C416
}

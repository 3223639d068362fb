"""Sizes and durations as people write them."""

from __future__ import annotations

import re

from kernelext.errors import OptionError

_UNITS_BYTES = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_NUMBER = r"(\d{1,15}(?:\.\d{1,15})?)"
_SIZE = re.compile(_NUMBER + r"\s*([kmgt]?)(?:i?b)?", re.IGNORECASE | re.ASCII)
_DURATION_PART = re.compile(_NUMBER + r"\s*([smhd])\s*", re.ASCII)


def parse_size_bytes(text: str) -> int:
    """Read a size; units are powers of 1024, as Docker reads them, with or without B or iB.

    Raises
    ------
    OptionError
        When `text` is no size above zero.

    Examples
    --------
    >>> parse_size_bytes("8g"), parse_size_bytes("2 GB"), parse_size_bytes("1.5MiB")
    (8589934592, 2147483648, 1572864)
    """
    found = _SIZE.fullmatch(text.strip())
    size = int(float(found[1]) * _UNITS_BYTES[found[2].lower()]) if found else 0
    if size <= 0:
        raise OptionError(f'"{text}" is not a size: write for example 512m, 8g or 1.5GB.')
    return size


def size_text(size_bytes: float) -> str:
    """Write a size in the units that `parse_size_bytes` reads.

    Examples
    --------
    >>> size_text(512), size_text(1_500_000), size_text(2 * 1024**3)
    ('512 bytes', '1.4 MB', '2.0 GB')
    """
    for unit in ("GB", "MB", "kB"):
        scale = _UNITS_BYTES[unit[0].lower()]
        if size_bytes >= scale:
            return f"{size_bytes / scale:.1f} {unit}"
    return f"{size_bytes:.0f} bytes"


def parse_duration_s(text: str) -> float:
    """Read a duration; a bare number counts seconds.

    Raises
    ------
    OptionError
        When `text` is no duration above zero.

    Examples
    --------
    >>> parse_duration_s("2h"), parse_duration_s("1h 30m"), parse_duration_s("45")
    (7200.0, 5400.0, 45.0)
    """
    plain = text.strip().lower()
    if re.fullmatch(_NUMBER, plain, re.ASCII):
        plain += "s"
    parts = list(_DURATION_PART.finditer(plain))
    seconds = sum(float(part[1]) * _UNITS_S[part[2]] for part in parts)
    if "".join(part[0] for part in parts) != plain or seconds <= 0:
        raise OptionError(f'"{text}" is not a duration: write for example 90s, 10m, 2h or 1h30m.')
    return seconds

"""Read sizes, delays and rates as people and `tc` write them."""

from __future__ import annotations

import re

from .commands import LabError

DELAY_UNITS_S = {"us": 1e-6, "ms": 1e-3, "s": 1.0, None: 1e-3}
RATE_UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}


def parse_size(text: str | None) -> int | None:
    """Read a size in bytes.

    >>> parse_size("2g")
    2147483648
    """
    if not text:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", text.strip().lower())
    if not match:
        raise LabError(f"not a size: {text} (use 512m or 2g)")
    return int(float(match[1]) * 1024.0 ** " kmgt".index(match[2] or " "))


def parse_delay(text: str | None) -> float:
    """Read a delay in seconds; a bare number is milliseconds.

    >>> parse_delay("40ms")
    0.04
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(us|ms|s)?", (text or "0").strip())
    if not match:
        raise LabError(f"not a delay: {text} (use 40ms)")
    return float(match[1]) * DELAY_UNITS_S[match[2]]


def parse_rate(text: str | None) -> int:
    """Read a rate in bits a second.

    >>> parse_rate("100mbit")
    100000000
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kmg]?)bit", (text or "0bit").strip().lower())
    if not match:
        raise LabError(f"not a rate: {text} (use 100mbit)")
    return int(float(match[1]) * RATE_UNITS[match[2]])

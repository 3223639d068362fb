"""Tells whether a cell hides its last value, as a semicolon at its end asks; executes nothing."""

from __future__ import annotations

import re

_AT_END = re.compile(r""";[ \t]*(#[^'"]*)?$""")


def hides_result(source: str) -> bool:
    """Tell whether a cell's last line ends in a semicolon, a comment aside.

    Examples
    --------
    >>> hides_result("x = 1\\nplot(x);  # no repr")
    True
    """
    lines = source.rstrip().splitlines()
    return bool(lines and _AT_END.search(lines[-1].rstrip()))

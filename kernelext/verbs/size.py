"""Sizes and ages as people read them."""

from __future__ import annotations


def size_text(size_bytes: float) -> str:
    """Write a size in powers of 1000, as disks and networks count.

    Examples
    --------
    >>> size_text(0), size_text(1500), size_text(2_340_000)
    ('0 B', '1.5 kB', '2.3 MB')
    """
    for unit in ("B", "kB", "MB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} B" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} GB"

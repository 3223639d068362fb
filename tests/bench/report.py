"""The bench's one table, and the same as JSON. Measures nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .timing import Sample

FACTORS = {"ms": 1000.0, "s": 1.0, "x": 1.0, "bytes": 1.0, "requests": 1.0}
DIGITS = {"ms": 1, "s": 2, "x": 2, "bytes": 0, "requests": 0}
HEAD = ("", "n", "median", "p95", "min", "")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    what : str
    sample : Sample
        In seconds, where the unit is a time.
    unit : str
        ``ms``, ``s``, ``x``, ``bytes`` or ``requests``.
    note : str
        What the numbers are to be compared with.
    at_most : float or None
        What the median is not to exceed, in `unit`.
    """

    what: str
    sample: Sample
    unit: str = "ms"
    note: str = ""
    at_most: float | None = None

    @property
    def is_met(self) -> bool:
        """Whether the median keeps its limit; true where there is none."""
        return self.at_most is None or self._in_unit(self.sample.median) <= self.at_most

    def _in_unit(self, value: float) -> float:
        return value * FACTORS[self.unit]

    def _text(self, value: float) -> str:
        unit = "" if self.unit == "bytes" else f" {self.unit}"
        return f"{self._in_unit(value):,.{DIGITS[self.unit]}f}{unit}"

    def cells(self) -> tuple[str, ...]:
        """Return the line's texts."""
        sample = self.sample
        verdict = ""
        if self.at_most is not None:
            verdict = f"at most {self.at_most:g} {self.unit}: {'met' if self.is_met else 'MISSED'}"
        numbers = (sample.median, sample.percentile(95), sample.minimum)
        texts = [self._text(number) for number in numbers]
        if len(sample.values) == 1:
            texts[1:] = ["", ""]
        notes = [text for text in (verdict, self.note) if text]
        return ("  " + self.what, str(len(sample.values)), *texts, "; ".join(notes))

    def to_json(self) -> dict[str, Any]:
        """Return the line with every value that was measured, in its unit."""
        sample = self.sample
        return {
            "what": self.what,
            "unit": self.unit,
            "n": len(sample.values),
            "median": self._in_unit(sample.median),
            "p95": self._in_unit(sample.percentile(95)),
            "p99": self._in_unit(sample.percentile(99)),
            "min": self._in_unit(sample.minimum),
            "at_most": self.at_most,
            "met": self.is_met,
            "note": self.note,
            "values": [self._in_unit(value) for value in sample.values],
        }


@dataclass(frozen=True)
class Section:
    """One measurement's lines."""

    title: str
    rows: Sequence[Row]
    remarks: Sequence[str] = field(default_factory=tuple)

    def to_json(self) -> dict[str, Any]:
        """Return title, remarks and lines."""
        rows = [row.to_json() for row in self.rows]
        return {"title": self.title, "remarks": list(self.remarks), "rows": rows}


def table(sections: Sequence[Section]) -> str:
    """Set all sections as one table with common columns."""
    lines: list[tuple[str, ...]] = [HEAD]
    for section in sections:
        lines += [(), (section.title,)]
        lines += [row.cells() for row in section.rows]
        lines += [("  " + remark,) for remark in section.remarks]
    full = [line for line in lines if len(line) == len(HEAD)]
    widths = [max(len(line[column]) for line in full) for column in range(len(HEAD))]
    return "\n".join(_set(line, widths) for line in lines)


def _set(line: tuple[str, ...], widths: Sequence[int]) -> str:
    if len(line) < len(widths):
        return "".join(line)
    first, *numbers, last = line
    set_numbers = [text.rjust(width) for text, width in zip(numbers, widths[1:-1], strict=True)]
    return "  ".join([first.ljust(widths[0]), *set_numbers, last]).rstrip()

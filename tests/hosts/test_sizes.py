"""Sizes and durations as people write them."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelext.errors import OptionError
from kernelext.hosts import parse_duration_s, parse_size_bytes


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1024", 1024),
        ("512b", 512),
        ("1k", 1024),
        ("2GB", 2 * 1024**3),
        ("2 gb", 2 * 1024**3),
        ("8g", 8 * 1024**3),
        ("1.5GiB", 3 * 1024**3 // 2),
        ("1T", 1024**4),
    ],
)
def test_parse_size_bytes(text: str, wanted: int) -> None:
    assert parse_size_bytes(text) == wanted


@pytest.mark.parametrize(
    "text", ["", "g", "0", "-1g", "8x", "8 g g", "nan", "1e9", "8gi", "٨g", "9" * 400]
)
def test_parse_size_refuses_with_examples(text: str) -> None:
    with pytest.raises(OptionError, match="8g"):
        parse_size_bytes(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("90", 90), ("0.5s", 0.5), ("10m", 600), ("2h", 7200), ("1h30m", 5400), ("1D 2H", 93600)],
)
def test_parse_duration_s(text: str, wanted: float) -> None:
    assert parse_duration_s(text) == wanted


@pytest.mark.parametrize(
    "text", ["", "h", "0m", "-1h", "2 hours", "1h30", "inf", "1:30", "9" * 400]
)
def test_parse_duration_refuses_with_examples(text: str) -> None:
    with pytest.raises(OptionError, match="2h"):
        parse_duration_s(text)


@given(st.text(max_size=12))
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_size_bytes, parse_duration_s):
        with contextlib.suppress(OptionError):
            assert parse(text) > 0

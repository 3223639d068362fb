"""Which images a Dockerfile starts from."""

from __future__ import annotations

import pytest

from kernelext.image.dockerfile import base_names


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("FROM a:1", ["a:1"]),
        ("\ufeff# about\n\nfrom a\nRUN from b", ["a"]),
        ("FROM --platform=linux/amd64 a AS x\nFROM X\nCOPY --from=x / /", ["a"]),
        ("FROM scratch\nCOPY --from=0 / /\nFROM b\nCOPY --chown=1:1 --from=c:2 / /", ["b", "c:2"]),
        ("ARG V=1\nARG N=img-$V\nFROM ${N}:${W:-2}${V:+-slim}", ["img-1:2-slim"]),
        ("FROM a\nARG V=1\nFROM b:${V}", ["a"]),
        ("FROM \\\n  # between\n  a", ["a"]),
        ("# escape=`\nFROM `\na", ["a"]),
        ("FROM a\nFROM a\n", ["a"]),
        ("", []),
        ("FROM", []),
    ],
)
def test_base_names(text: str, found: list[str]) -> None:
    assert base_names(text) == found

"""Exceptions arrive as they were, whatever their class asks for."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from .trips import new_namespace, there_and_back

CLASSES = """
class Few(Exception):
    def __init__(self, a, b):
        super().__init__(f"{a}-{b}")
        self.a = a
class Again(Exception):
    def __init__(self, a): super().__init__(f"got {a}")
class Lost(OSError):
    def __init__(self, path, *, why):
        super().__init__(2, why, path)
        self.why = why
class Slotted(SystemExit):
    __slots__ = ("kept",)
    def __init__(self, *, kept):
        super().__init__(3)
        self.kept = kept
class Absent(ImportError):
    def __init__(self, name): super().__init__("is not here", name=name)
class Late(Exception):
    def __init__(self): self.items = [1]
class Both(Few, KeyError): pass
class Own(Exception):
    def __init__(self, a, b): super().__init__(a)
    def __reduce__(self): return Own, (1, 2)
"""
ATTRIBUTES = ("args", "__dict__", "filename", "errno", "code", "kept", "name", "returncode")


@pytest.mark.parametrize(
    "made",
    [
        "Few(1, 2)",
        "Again(1)",
        "Lost('path', why='no')",
        "Slotted(kept=[2])",
        "Absent('library')",
        "Late()",
        "Both(1, 2)",
        "Own(1, 2)",
        "KeyError(1)",
        "UnicodeDecodeError('utf-8', b'x', 0, 1, 'bad')",
        "CalledProcessError(1, 'ls', b'out')",
    ],
)
def test_exception_is_what_it_was(made: str) -> None:
    notebook = new_namespace(CLASSES, CalledProcessError=subprocess.CalledProcessError)
    before: Any = eval(made, notebook)
    after = there_and_back(before, notebook)

    assert type(after) is type(before)
    assert (repr(after), str(after)) == (repr(before), str(before))
    for name in ATTRIBUTES:
        assert getattr(after, name, None) == getattr(before, name, None)

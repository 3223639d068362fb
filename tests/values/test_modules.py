"""Modules travel as their names."""

from __future__ import annotations

import os
import types
from concurrent import futures

import pytest

from kernelext.values import encode

from .trips import joined, there_and_back


@pytest.mark.parametrize(
    ("module", "name"), [(os, "os"), (os.path, "os.path"), (futures, "concurrent.futures")]
)
def test_module_is_its_name(module: types.ModuleType, name: str) -> None:
    encoded = encode("m", module, {})

    assert encoded.ref.codec == "module"
    assert joined(encoded) == name.encode()
    assert there_and_back(module) is module


def test_module_made_by_hand_travels_whole() -> None:
    module = types.ModuleType("by_hand")
    module.answer = 42  # type: ignore[attr-defined]
    assert there_and_back(module).answer == 42

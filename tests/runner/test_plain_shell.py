"""A cell where the image has no IPython."""

from __future__ import annotations
import __future__

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from kernelext.runner.channel import EventChannel
from kernelext.runner.plain_shell import PlainShell

ANNOTATED = "def f(a: Missing): pass\nfound = f.__annotations__"


@pytest.fixture
def namespace() -> dict[str, Any]:
    return {"__name__": "__main__"}


@pytest.fixture
def shell(namespace: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[PlainShell]:
    monkeypatch.setattr("builtins.display", None, raising=False)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield PlainShell(namespace, EventChannel(ours))


def test_annotations_are_evaluated_as_in_any_cell(shell: PlainShell) -> None:
    failure = shell.execute(ANNOTATED, "Cell In[1]")
    assert failure is not None
    assert failure["ename"] == "NameError"


def test_features_of_the_future_count(shell: PlainShell, namespace: dict[str, Any]) -> None:
    assert shell.execute(ANNOTATED, "Cell In[1]", __future__.annotations.compiler_flag) is None
    assert namespace["found"] == {"a": "Missing"}

"""The index that the tests of this room resolve against."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .wheels import Index, serve_index


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """An empty package index."""
    folder = tmp_path / "index"
    folder.mkdir()
    with serve_index(folder) as served:
        yield served

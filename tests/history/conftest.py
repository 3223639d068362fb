"""A history in a temporary folder."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kernelext.history import History, RunRow, iso_time

NOON = 1_790_000_000.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "history.sqlite"


@pytest.fixture
def history(path: Path) -> Iterator[History]:
    with History.open(path) as opened:
        yield opened


@pytest.fixture
def make_run() -> Callable[..., RunRow]:
    def make(run: str = "aa11", title: str = "fit", at: float = NOON) -> RunRow:
        return RunRow(run, "ada@box", title, "remote", "y = f(x)", "<cell>", iso_time(at))

    return make

"""This machine cannot keep what comes home: the run says so, and nothing runs on."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager

from kernelext.errors import RunError

from .notebook import Notebook

LIMIT_BYTES = 2_000_000


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file of this process grow above a limit."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_journal_that_cannot_be_kept_ends_the_run(notebook: Notebook, host: str) -> None:
    notebook.check(f"%%remote {host}\nx = 1")
    with full_disk():
        shown = notebook.run(f"%%remote {host}\nwhile True: print('x' * 1000)")
    assert isinstance(shown.error, RunError)
    assert "cannot be kept on this machine ([Errno 27] File too large)" in str(shown.error)
    notebook.check(f"%%remote {host}\nx = 2")
    assert notebook.names["x"] == 2


def test_result_that_cannot_be_kept_ends_the_run(notebook: Notebook, host: str) -> None:
    notebook.check(f"%%remote {host}\nx = 1")
    with full_disk():
        shown = notebook.run(f"%%remote {host}\nimport os\nlarge = os.urandom({2 * LIMIT_BYTES})")
    assert isinstance(shown.error, RunError)
    assert "cannot be kept on this machine" in str(shown.error)
    assert "large" not in notebook.names
    notebook.check(f"%%remote {host}\nx = 2")

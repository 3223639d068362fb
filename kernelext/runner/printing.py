"""`print` of the cell: one write a call, so that lines of threads and forked processes stay whole.

Python's own writes every value, separator and end by itself, which an unbuffered stream
sends one by one, and others' between them.
"""

from __future__ import annotations

import builtins
import functools
import io
import sys
from typing import Any

from kernelext.runner.streams import OrderedWriter


def install_print() -> None:
    """Replace `print`; on any other stream it is Python's own."""
    original = builtins.print

    @functools.wraps(original)
    def print(  # noqa: A001
        *values: Any,
        sep: Any = " ",
        end: Any = "\n",
        file: Any = None,
        flush: Any = False,
    ) -> None:
        __tracebackhide__ = True
        stream = sys.stdout if file is None else file
        if isinstance(sep, str) and isinstance(end, str) and _is_ours(stream):
            stream.write(sep.join(map(str, values)) + end)
        else:
            original(*values, sep=sep, end=end, file=file, flush=flush)

    builtins.print = print


def _is_ours(stream: Any) -> bool:
    return type(stream) is io.TextIOWrapper and isinstance(stream.buffer, OrderedWriter)

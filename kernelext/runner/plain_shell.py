"""Executes a cell where the image has no IPython."""

from __future__ import annotations

import ast
import asyncio
import builtins
import inspect
import linecache
import sys
from typing import Any

from kernelext.events import json_body
from kernelext.runner.channel import EventChannel
from kernelext.runner.failure import failure_content
from kernelext.runner.semicolon import hides_result

RICH_METHODS = {
    "_repr_html_": "text/html",
    "_repr_markdown_": "text/markdown",
    "_repr_latex_": "text/latex",
    "_repr_svg_": "image/svg+xml",
    "_repr_png_": "image/png",
    "_repr_jpeg_": "image/jpeg",
    "_repr_json_": "application/json",
}


class PlainShell:
    """Runs source in a namespace and shows its last expression.

    Parameters
    ----------
    namespace : dict
        Of the module ``__main__``.
    channel : EventChannel
    """

    def __init__(self, namespace: dict[str, Any], channel: EventChannel) -> None:
        self._namespace = namespace
        self._channel = channel
        builtins.display = self._display  # type: ignore[attr-defined]

    def execute(self, source: str, filename: str, flags: int = 0) -> dict[str, Any] | None:
        """Run `source`; None when it ended well, else the content of an error event."""
        lines = source.splitlines(keepends=True)
        linecache.cache[filename] = (len(source), None, lines, filename)
        try:
            body, last = _split_last_expression(source, filename)
            flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            self._evaluate(_compile(body, filename, "exec", flags))
            if last is not None:
                value = self._evaluate(_compile(last, filename, "eval", flags))
                if value is not None:
                    self._namespace["_"] = value
                    self._channel.emit("result", {}, json_body(mime_bundle(value)))
        except BaseException as error:  # the cell's frame: whatever it raises is its outcome
            return failure_content(error)
        return None

    def _evaluate(self, code: Any) -> Any:
        found = eval(code, self._namespace)  # noqa: S307
        if code.co_flags & inspect.CO_COROUTINE:
            return asyncio.run(found)
        return found

    def _display(self, *values: Any, **_: Any) -> None:
        for value in values:
            if self._channel.is_mine:
                self._channel.emit("display", {}, json_body(mime_bundle(value)))
            else:
                sys.stdout.write(f"{value!r}\n")


def _compile(tree: Any, filename: str, mode: str, flags: int) -> Any:
    """Compile a part of the cell, without what this file imports from `__future__`."""
    return compile(tree, filename, mode, flags, dont_inherit=True)


def _split_last_expression(source: str, filename: str) -> tuple[ast.Module, Any]:
    tree = ast.parse(source, filename)
    if tree.body and isinstance(tree.body[-1], ast.Expr) and not hides_result(source):
        last = tree.body.pop()
        return tree, ast.Expression(last.value)  # type: ignore[attr-defined]
    return tree, None


def mime_bundle(value: Any) -> dict[str, Any]:
    """Describe a value as Jupyter does: its repr and the rich forms it offers itself."""
    data: dict[str, Any] = {"text/plain": repr(value)}
    for method, mime in RICH_METHODS.items():
        offered = None if isinstance(value, type) else getattr(value, method, None)
        form = offered() if callable(offered) else None
        if form is not None:
            data[mime] = form
    return {"data": data, "metadata": {}}

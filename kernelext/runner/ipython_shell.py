"""Executes a cell by IPython, where the image has it: rich forms, `display`, tracebacks."""

from __future__ import annotations

import gc
import importlib.util
import os
import re
import sys
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from kernelext.events import json_body
from kernelext.runner.channel import EventChannel
from kernelext.runner.failure import failure_content
from kernelext.runner.semicolon import hides_result

CELL_NUMBER = re.compile(r"In\[(\d+)\]")


class EventPublisher(DisplayPublisher):  # type: ignore[misc]
    """Sends displays as events."""

    channel: EventChannel

    def publish(
        self,
        data: dict[str, Any],
        metadata: dict[str, Any] | None = None,
        *,
        transient: dict[str, Any] | None = None,
        update: bool = False,
        **_: Any,
    ) -> None:
        """Send one MIME bundle."""
        content = {"data": data, "metadata": metadata or {}, **(transient or {})}
        self.channel.emit("update_display" if update else "display", {}, json_body(content))

    def clear_output(self, wait: bool = False) -> None:
        """Send the wish to clear."""
        self.channel.emit("clear_output", {"wait": wait})


class EventHook(DisplayHook):  # type: ignore[misc]
    """Sends the last expression's value as an event."""

    channel: EventChannel
    is_quiet = False

    def quiet(self) -> bool:
        """Tell whether the cell hides its last value."""
        return self.is_quiet

    def write_output_prompt(self) -> None:
        """Leave the prompt to the notebook."""

    def write_format_data(
        self, format_dict: dict[str, Any], md_dict: dict[str, Any] | None = None
    ) -> None:
        """Send one MIME bundle."""
        content = {"data": format_dict, "metadata": md_dict or {}}
        self.channel.emit("result", {}, json_body(content))

    def finish_displayhook(self) -> None:
        """Print no line end of its own."""


class CellShell(InteractiveShell):  # type: ignore[misc]
    """IPython's shell, which keeps a cell's error instead of printing it."""

    failure: dict[str, Any] | None = None

    def enable_gui(self, gui: str | None = None) -> None:
        """Start no event loop: `%matplotlib inline` asks for none."""

    def _showtraceback(self, _: Any, evalue: BaseException, stb: list[str]) -> None:
        lines = [line for part in stb for line in part.split("\n")]
        self.failure = failure_content(evalue, lines)


class IPythonShell:
    """Runs source in the namespace of `__main__`.

    Parameters
    ----------
    module : module
        ``__main__``.
    channel : EventChannel
    """

    def __init__(self, module: Any, channel: EventChannel) -> None:
        EventPublisher.channel = EventHook.channel = channel
        if importlib.util.find_spec("matplotlib_inline"):
            os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
        config = Config()
        config.HistoryManager.enabled = False
        self._shell = CellShell.instance(
            config=config,
            user_module=module,
            display_pub_class=EventPublisher,
            displayhook_class=EventHook,
        )
        gc.freeze()  # what was imported stays: collecting it again takes 8 ms, as at the exit

    def execute(self, source: str, filename: str, flags: int = 0) -> dict[str, Any] | None:
        """Run `source`; None when it ended well, else the content of an error event."""
        self._shell.compile.flags |= flags
        self._shell.compile.get_code_name = lambda *_: filename
        number = CELL_NUMBER.search(filename)
        if number is not None:  # tracebacks name the cell by it
            self._shell.execution_count = int(number[1])
        self._shell.displayhook.is_quiet = hides_result(source)
        outcome = self._shell.run_cell(_from_cell_magic(source), store_history=False)
        error = outcome.error_before_exec or outcome.error_in_exec
        if error is None:
            if self._shell.failure:  # of a repr, say: the cell goes on
                sys.stderr.write("\n".join(self._shell.failure["traceback"]) + "\n")
            return None
        return self._shell.failure or failure_content(error)


def _from_cell_magic(source: str) -> str:
    """Drop the line that stands for `%%remote` before a cell magic, which has to come first."""
    first, _, rest = source.partition("\n")
    return rest if first.startswith("# %%") and rest.lstrip().startswith("%%") else source

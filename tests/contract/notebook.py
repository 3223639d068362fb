"""A notebook in this process: a real IPython shell with kernelext loaded, and what it shows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Shown:
    """What one cell has shown, and the exception that it raised."""

    stdout: str
    stderr: str
    displays: list[dict[str, Any]]
    results: list[dict[str, Any]]
    error: BaseException | None
    traceback: str = ""

    @property
    def tables(self) -> list[str]:
        """The plain text of every display, the last state of each."""
        return [str(each["data"].get("text/plain", "")) for each in self.displays]


class Hook(DisplayHook):
    """Keeps the MIME bundles that a cell results in."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shown: list[dict[str, Any]] = []

    def write_output_prompt(self) -> None:
        """Leave the prompt out."""

    def write_format_data(self, format_dict: Any, md_dict: Any = None) -> None:
        """Keep a bundle."""
        self.shown.append(format_dict)


class Shell(InteractiveShell):
    """A shell that keeps its tracebacks."""

    def __init__(self, **kwargs: Any) -> None:
        self.traceback_lines: list[str] = []
        super().__init__(**kwargs)

    def _showtraceback(self, _: Any, __: Any, stb: list[str]) -> None:
        self.traceback_lines = list(stb)


def make_shell() -> Shell:
    """Make the one shell of this process."""
    shell = Shell.instance(displayhook_class=Hook, display_pub_class=CapturingDisplayPublisher)
    shell.run_line_magic("colors", "nocolor")
    return shell


@dataclass
class Notebook:
    """Runs cells one after the other, as a front end would.

    Use it as a context manager: it ends its connections.
    """

    shell: Shell = field(default_factory=make_shell)

    def __enter__(self) -> Notebook:
        """Load the extension."""
        self.run("%load_ext kernelext")
        return self

    def __exit__(self, *_: object) -> None:
        """End connections; forget the shell, which IPython has one of in a process."""
        self.run("%unload_ext kernelext")
        self.shell.history_manager.end_session()
        Shell.clear_instance()
        InteractiveShell.clear_instance()

    @property
    def names(self) -> dict[str, Any]:
        """The notebook's namespace."""
        return self.shell.user_ns

    def has_displayed(self, text: str) -> bool:
        """Whether the cell that runs, or was run last, has displayed a text, be it for a moment."""
        return any(text in str(each["data"]) for each in list(self.shell.display_pub.outputs))

    def run(self, source: str) -> Shown:
        """Run a cell and return what it showed; its error is not raised."""
        publisher = self.shell.display_pub
        publisher.outputs.clear()
        self.shell.displayhook.shown.clear()
        self.shell.traceback_lines = []
        with capture_output(display=False) as captured:
            outcome = self.shell.run_cell(source, store_history=True)
        return Shown(
            captured.stdout,
            captured.stderr,
            list(publisher.outputs),
            list(self.shell.displayhook.shown),
            outcome.error_before_exec or outcome.error_in_exec,
            ANSI.sub("", "\n".join(self.shell.traceback_lines)),
        )

    def check(self, source: str) -> Shown:
        """Run a cell that has to end well."""
        shown = self.run(source)
        if shown.error is not None:
            raise AssertionError(f"{shown.traceback or shown.error!r}") from shown.error
        return shown

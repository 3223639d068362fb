"""Replays a remote cell's output as native messages, as if the cell ran here."""

from __future__ import annotations

import codecs
import sys
import time
from typing import Any

from IPython.display import DisplayHandle, display

from kernelext.events import Event
from kernelext.magics.plainforms import plain_forms
from kernelext.models import RunState
from kernelext.runs import FoldEnded, FoldEvent, FoldState, HostSaid, Run, Update

PATIENCE_S = 1.0  # a status line is shown only when there is something to wait for


class Replay:
    """Draws a run of one fold.

    Parameters
    ----------
    shell : InteractiveShell
    run : Run
    """

    def __init__(self, shell: Any, run: Run) -> None:
        self._shell = shell
        self._host = run.plan.hosts[0].name
        self._trusts = run.plan.hosts[0].loads_pickles
        self._decoders = {
            name: codecs.getincrementaldecoder("utf-8")("replace") for name in ("stdout", "stderr")
        }
        self._status = ""
        self._since_s = time.monotonic()
        self._line = StatusLine()

    def draw(self, update: Update) -> None:
        """Show one update."""
        if isinstance(update, FoldEvent):
            self._event(update.event)
        elif isinstance(update, FoldState):
            self._wait_for("" if update.state is RunState.RUNNING else update.state.value)
        elif isinstance(update, HostSaid) and update.word == "note":
            sys.stderr.write(f"{update.detail}\n")
        elif isinstance(update, HostSaid):
            self._wait_for("" if update.word == "reachable" else f"{update.word} {update.detail}")
        elif isinstance(update, FoldEnded):
            self._wait_for("")
        self._show_status()

    def finish(self) -> None:
        """Show what is left."""
        for name, decoder in self._decoders.items():
            getattr(sys, name).write(decoder.decode(b"", final=True))
            getattr(sys, name).flush()
        self._line.show("")

    def _wait_for(self, status: str) -> None:
        self._status = status.strip()
        self._since_s = time.monotonic()

    def _show_status(self) -> None:
        waited_s = time.monotonic() - self._since_s
        if not self._status:
            self._line.show("")
        elif waited_s > PATIENCE_S or self._status == "unreachable":
            self._line.show(f"{self._host}: {self._status} for {waited_s:.0f} s")

    def _event(self, event: Event) -> None:
        if event.kind == "stream":
            name = "stderr" if event.header.get("name") == "stderr" else "stdout"
            stream = getattr(sys, name)
            stream.write(self._decoders[name].decode(event.body))
            stream.flush()
        elif event.kind in ("display", "update_display"):
            self._display(event)
        elif event.kind == "clear_output":
            self._shell.display_pub.clear_output(bool(event.header.get("wait")))
        elif event.kind == "result":
            self._result(self._shown(event.content()))

    def _shown(self, content: dict[str, Any]) -> dict[str, Any]:
        return content if self._trusts else plain_forms(content, self._host)

    def _display(self, event: Event) -> None:
        content = self._shown(event.content())
        transient = {}
        if content.get("display_id"):
            transient = {"display_id": content["display_id"]}
        self._shell.display_pub.publish(
            content.get("data", {}),
            content.get("metadata", {}),
            transient=transient,
            update=event.kind == "update_display",
        )

    def _result(self, content: dict[str, Any]) -> None:
        hook = self._shell.displayhook
        hook.start_displayhook()
        hook.write_output_prompt()
        hook.write_format_data(content.get("data", {}), content.get("metadata", {}))
        hook.finish_displayhook()


class StatusLine:
    """One line that is updated in place and empty in the end; made when first needed."""

    def __init__(self) -> None:
        self._handle: DisplayHandle | None = None
        self._shown = ""

    def show(self, text: str) -> None:
        """Show `text` instead of what was there."""
        if text == self._shown:
            return
        self._shown = text
        data = {"text/plain": text}
        if self._handle is None:
            self._handle = display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)

"""The supervisor's child: takes the claim, runs the cell, sends its results."""

from __future__ import annotations
import __future__

import atexit
import faulthandler
import os
import signal
import socket
import sys
import threading
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from kernelext.events import json_body
from kernelext.models import INPUTS_DIR, PROJECT_DIR, RunSpec, Task
from kernelext.runner.channel import EventChannel
from kernelext.runner.failure import failure_content
from kernelext.runner.printing import install_print
from kernelext.runner.results import Results
from kernelext.runner.scripts import ScriptShell
from kernelext.runner.streams import flush_c_streams, install_streams
from kernelext.values import decode
from kernelext.wire import Header


class Shell(Protocol):
    """What executes source."""

    def execute(self, source: str, filename: str, flags: int = 0) -> dict[str, Any] | None:
        """Run `source`, compiled with `flags`.

        Returns
        -------
        dict or None
            None when it ended well, else the content of an error event.
        """


def run_cell_process(sock: socket.socket) -> None:
    """Wait for a claim on `sock` and execute it; the process ends with it."""
    channel = EventChannel(sock)
    signal.signal(signal.SIGINT, channel.on_interrupt)
    install_streams(channel)
    install_print()
    faulthandler.enable()
    work = Path.cwd()
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    code_dir = sys.path.pop(0)
    sys.path.append(code_dir)
    failure: dict[str, Any] | None
    try:
        shell = make_shell(main, channel)
        failure = _execute(channel.receive_claim(), shell, main.__dict__, channel, work)
    except BaseException as error:  # the cell's frame: an interrupt may come at any time
        failure = failure_content(error)
    _leave(failure, channel)


def make_shell(main: types.ModuleType, channel: EventChannel) -> Shell:
    """Choose IPython where the image has it."""
    try:
        from kernelext.runner.ipython_shell import IPythonShell
    except ImportError:
        from kernelext.runner.plain_shell import PlainShell

        return PlainShell(main.__dict__, channel)
    return IPythonShell(main, channel)


def _execute(
    claim: Header,
    shell: Shell,
    namespace: dict[str, Any],
    channel: EventChannel,
    work: Path,
) -> dict[str, Any] | None:
    spec = RunSpec.from_json(claim["spec"])
    task = Task.from_json(claim["task"])
    os.environ.update(claim.get("env", {}))
    _enter(work / PROJECT_DIR, spec.folder)
    together: dict[str, Any] = {}
    results = Results(spec, namespace, channel, work)
    inputs = (*spec.inputs, *task.inputs)
    for ref in inputs:
        if ref.same_as:
            namespace[ref.name] = namespace[ref.same_as]
        else:
            path = work / INPUTS_DIR / ref.file_name
            namespace[ref.name] = decode(ref, path, namespace, together=together)
    for ref in inputs:  # once all are read: an object refills its class
        results.note_input(ref)
    results.begin()
    if spec.language:
        shell = ScriptShell(spec.language, namespace.get("fold"))
    failure = shell.execute(spec.code, spec.filename, _flags(spec.futures))
    flush_c_streams()
    if failure is None:
        results.send()
    return failure


def _flags(futures: Iterable[str]) -> int:
    """Return the compiler's flags for features of `__future__`; this Python may lack some."""
    flags = 0
    for name in futures:
        if name in __future__.all_feature_names:
            flags |= getattr(__future__, name).compiler_flag
    return flags


def _enter(root: Path, folder: str) -> None:
    """Go where the notebook is; its modules come before those of the project's root."""
    own = root / folder
    own.mkdir(parents=True, exist_ok=True)  # all that was in it may have stayed at home
    os.chdir(own)
    sys.path[:0] = list(dict.fromkeys([str(own), str(root)]))


def _leave(failure: dict[str, Any] | None, channel: EventChannel) -> None:
    """Say the last word, then end as an interpreter does; the supervisor bounds how long."""
    try:
        if failure is not None:
            channel.emit("error", {}, json_body(failure))
        is_interrupt = failure is not None and failure["ename"] == KeyboardInterrupt.__name__
        channel.emit("finished", {"ok": failure is None, "interrupt": is_interrupt})
        # Worker pools are ended by these; atexit alone would wait for their processes for ever.
        for end_threads in reversed(getattr(threading, "_threading_atexits", ())):
            end_threads()
        atexit._run_exitfuncs()
        flush_c_streams()
    finally:
        os._exit(0)

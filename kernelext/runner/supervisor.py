"""PID 1 of a container: owns journal, pipes, event numbers, signals and the exit cause.

It is forked from before anything is imported; the cell runs in its child. It listens on
``control.sock`` in the work directory for the daemon: claim, interrupt, kill, status.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernelext.errors import ProtocolError
from kernelext.models import (
    CONTROL_NAME,
    EXIT_DISK_FULL,
    JOURNAL_NAME,
    AttemptEnd,
    EndCause,
    RunState,
    to_json,
)
from kernelext.runner.journal import Journal
from kernelext.runner.memory import CgroupMemory, held_bytes
from kernelext.runner.output import StreamJoiner
from kernelext.runner.processes import (
    adopt_orphans,
    descendants,
    die_with_parent,
    kill_descendants,
    reap,
    signal_group,
)
from kernelext.wire import Frame, FrameDecoder, Header, encode_frame

KILL_GRACE_S = 5.0  # from the interrupt of a timeout to the kill
EXIT_GRACE_S = 2.0  # from the cell's last word to its process's end
WATCH_S = 0.1
ACK = b"\x01"


@dataclass(frozen=True)
class SupervisorOptions:
    """How a supervisor is started.

    Attributes
    ----------
    work : str
        The work directory, which becomes the current one.
    poke : str
        The daemon's datagram socket.
    cgroup : str or None
        The memory cgroup to join and to read; None looks at the container's own.
    watch_bytes : int or None
        Kill above this many bytes, where no cgroup limits the memory.
    """

    work: str
    poke: str
    cgroup: str | None = None
    watch_bytes: int | None = None


class Supervisor:
    """One container's life: wait, be claimed, let the cell run, say how it ended."""

    def __init__(self, options: SupervisorOptions, cell: Callable[[socket.socket], None]) -> None:
        os.chdir(options.work)
        self._options = options
        if options.cgroup:  # before the fork, so that the cell is in it too
            Path(options.cgroup, "cgroup.procs").write_text("0")
        self._memory = CgroupMemory(options.cgroup)
        self._journal = Journal(JOURNAL_NAME)
        self._poke_socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._poke_socket.setblocking(False)
        self._poke_dir = os.open(Path(options.poke).parent, os.O_PATH | os.O_CLOEXEC)
        self._streams = [StreamJoiner(name, self._stream) for name in ("stdout", "stderr")]
        self._selector = selectors.DefaultSelector()
        self._claimed = False
        self._finished: bool | None = None
        self._has_raised_interrupt = False
        self._stop_cause: EndCause | None = None
        self._interrupted = False
        self._deadline_s: float | None = None
        self._timeout_s = 0.0
        self._kill_at_s: float | None = None
        self._peak_bytes = 0
        self._listen()
        self._fork(cell)

    def run(self) -> int:
        """Serve until the cell's process has ended; the supervisor's own exit code."""
        self._poke()
        try:
            while True:
                for key, _ in self._selector.select(self._wait_s()):
                    key.data(key.fileobj)
                self._on_time()
                ended = reap().get(self._child)
                if ended is not None:
                    self._end(*ended)
                    return 0
        except OSError:
            # The journal cannot be written: the disk is full or gone.
            kill_descendants()
            return EXIT_DISK_FULL

    # starting

    def _listen(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            Path(CONTROL_NAME).unlink()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(CONTROL_NAME)
        self._listener.listen(4)
        self._selector.register(self._listener, selectors.EVENT_READ, self._on_connect)

    def _fork(self, cell: Callable[[socket.socket], None]) -> None:
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        ours, theirs = socket.socketpair()
        self._child = os.fork()
        if self._child == 0:
            os.setpgid(0, 0)
            null = os.open(os.devnull, os.O_RDONLY)
            for number, fd in enumerate([null, *(s.write_fd for s in self._streams)]):
                os.dup2(fd, number)
            ours.close()
            self._listener.close()
            self._selector.close()
            die_with_parent()
            signal.signal(signal.SIGINT, signal.default_int_handler)
            with contextlib.suppress(OSError):  # the kernel is to take the cell, not us
                Path("/proc/self/oom_score_adj").write_text("1000")
            cell(theirs)
            os._exit(0)
        with contextlib.suppress(PermissionError):  # the child may have done it already
            os.setpgid(self._child, self._child)
        theirs.close()
        adopt_orphans()
        self._events = ours
        self._decoder = FrameDecoder()
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        self._selector.register(wake_read, selectors.EVENT_READ, lambda fd: os.read(fd, 512))
        self._selector.register(ours, selectors.EVENT_READ, self._on_event)
        for stream in self._streams:
            os.close(stream.write_fd)
            self._selector.register(
                stream.read_fd,
                selectors.EVENT_READ,
                lambda _, stream=stream: self._on_output(stream),
            )

    # what the cell says

    def _stream(self, name: str, data: bytes) -> None:
        self._append("stream", {"name": name}, data)

    def _append(self, kind: str, header: Header, body: bytes = b"") -> None:
        self._journal.append(kind, header, body)
        self._poke()

    def _on_output(self, stream: StreamJoiner) -> None:
        stream.read()
        if stream.at_end:
            self._selector.unregister(stream.read_fd)

    def _on_event(self, events: socket.socket) -> None:
        for header, body in self._receive_events(events):
            # All that was printed before the event comes before it: the cell waits.
            for stream in self._streams:
                stream.drain()
            kind = header.pop("kind", "")
            if kind == "finished":
                self._finished = bool(header.get("ok"))
                self._has_raised_interrupt = bool(header.get("interrupt"))
                self._kill_at_s = time.monotonic() + EXIT_GRACE_S
            if kind != "barrier":
                self._append(kind, header, body)
            with contextlib.suppress(OSError):
                events.sendall(ACK)

    def _receive_events(self, events: socket.socket) -> list[Frame]:
        with contextlib.suppress(ConnectionError, ProtocolError):
            # Else it died before it took an answer, or something has spoken in its place.
            data = events.recv(1024 * 1024)
            if data:
                return list(self._decoder.feed(data))
        self._selector.unregister(events)
        with contextlib.suppress(OSError):
            events.shutdown(socket.SHUT_RDWR)
        return []

    # what the daemon says

    def _on_connect(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        connection.settimeout(10)
        decoder = FrameDecoder()
        self._selector.register(
            connection, selectors.EVENT_READ, lambda sock: self._on_request(sock, decoder)
        )

    def _on_request(self, connection: socket.socket, decoder: FrameDecoder) -> None:
        try:
            data = connection.recv(1024 * 1024)
            for header, _ in decoder.feed(data):
                connection.sendall(encode_frame(self._answer(header)))
        except (OSError, ProtocolError):
            data = b""
        if not data:
            self._selector.unregister(connection)
            connection.close()

    def _answer(self, header: Header) -> Header:
        op = header.get("op")
        if op == "claim" and not self._claimed:
            self._claim(header)
        elif op == "interrupt":
            self._interrupted = True
            if self._claimed:
                signal_group(self._child, signal.SIGINT)
        elif op == "kill":
            self._stop(EndCause(header.get("cause", "killed")))
        elif op != "status":
            return {"error": f"cannot {op} now"}
        return {"claimed": self._claimed}

    def _claim(self, header: Header) -> None:
        self._claimed = True
        spec: dict[str, Any] = header["spec"]
        self._journal.begin({key: header[key] for key in ("run", "fold", "attempt")})
        self._append("state", {"state": RunState.RUNNING.value})
        timeout_s = spec["limits"].get("timeout_s")
        if timeout_s:
            self._timeout_s = timeout_s
            self._deadline_s = time.monotonic() + timeout_s
        self._events.sendall(encode_frame(header))
        if self._interrupted:  # already, on the way to the claim
            signal_group(self._child, signal.SIGINT)

    # ending

    def _on_signal(self, *_: object) -> None:
        self._stop(EndCause.KILLED)

    def _stop(self, cause: EndCause) -> None:
        self._stop_cause = self._stop_cause or cause
        signal_group(self._child, signal.SIGKILL)

    def _wait_s(self) -> float | None:
        now_s = time.monotonic()
        waits = [stream.due_s() for stream in self._streams]
        waits += [at - now_s for at in (self._deadline_s, self._kill_at_s) if at is not None]
        if self._options.watch_bytes:
            waits.append(WATCH_S)
        known = [wait for wait in waits if wait is not None]
        return max(0.0, min(known)) if known else None

    def _on_time(self) -> None:
        now_s = time.monotonic()
        for stream in self._streams:
            if stream.due_s() == 0.0:
                stream.flush()
        if self._deadline_s is not None and now_s >= self._deadline_s:
            self._deadline_s = None
            self._stop_cause = self._stop_cause or EndCause.TIMEOUT
            self._kill_at_s = now_s + KILL_GRACE_S
            signal_group(self._child, signal.SIGINT)
        if self._kill_at_s is not None and now_s >= self._kill_at_s:
            self._kill_at_s = None
            signal_group(self._child, signal.SIGKILL)
        if self._options.watch_bytes:
            self._peak_bytes = max(self._peak_bytes, held_bytes(descendants(os.getpid())))
            if self._peak_bytes > self._options.watch_bytes:
                self._stop(EndCause.OUT_OF_MEMORY)

    def _end(self, status: int, resident_bytes: int) -> None:
        kill_descendants()
        with contextlib.suppress(KeyError, ValueError):
            self._on_event_remainder()
        for stream in self._streams:
            stream.drain()
        peak_bytes = self._memory.peak_bytes() if self._has_own_cgroup() else None
        end = self._verdict(status, peak_bytes or max(self._peak_bytes, resident_bytes))
        self._append("exit", to_json(end))

    def _on_event_remainder(self) -> None:
        """Take what the cell's process sent before it died."""
        self._events.setblocking(False)
        with contextlib.suppress(BlockingIOError, ConnectionError, ProtocolError):
            while self._selector.get_key(self._events):
                self._on_event(self._events)

    def _has_own_cgroup(self) -> bool:
        return self._options.cgroup is not None or os.getpid() == 1

    def _verdict(self, status: int, peak_bytes: int) -> AttemptEnd:
        died_of = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
        state, cause = RunState.FAILED, self._cause(died_of)
        if cause is None:
            state = RunState.DONE
        elif cause is EndCause.USER_INTERRUPT:
            state = RunState.CANCELLED
        message = f"after {self._timeout_s:g} s" if cause is EndCause.TIMEOUT else ""
        return AttemptEnd(state, cause, message, code, died_of, peak_bytes)

    def _cause(self, died_of: int | None) -> EndCause | None:
        if self._finished:
            return None
        if self._stop_cause is not None:
            return self._stop_cause
        if died_of == signal.SIGKILL and self._has_own_cgroup() and self._memory.has_killed():
            return EndCause.OUT_OF_MEMORY
        if self._interrupted and (self._finished is None or self._has_raised_interrupt):
            return EndCause.USER_INTERRUPT
        return EndCause.CELL_ERROR if self._finished is False else EndCause.PROCESS_DIED

    def _poke(self) -> None:
        """Wake the daemon; a hint only, it looks by itself too."""
        path = f"/proc/self/fd/{self._poke_dir}/{Path(self._options.poke).name}"
        with contextlib.suppress(OSError):
            self._poke_socket.sendto(b"", path)

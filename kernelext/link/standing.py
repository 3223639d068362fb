"""A host's connection: control apart from bulk, watched, made anew when it is lost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from kernelext.errors import DaemonError, LinkLost, ProtocolError
from kernelext.hosts.config import HostConfig
from kernelext.link.archive import code_archive
from kernelext.link.client import DaemonClient
from kernelext.link.pipe import SocketAbsent
from kernelext.link.route import route_to
from kernelext.link.watchdog import Watchdog
from kernelext.models import PROTOCOL_VERSION, HostFacts
from kernelext.wire import Frame, Header

log = logging.getLogger(__name__)


@dataclass
class Traffic:
    """Bytes that a host's connections have carried, frames included."""

    sent_bytes: int = 0
    received_bytes: int = 0


class StandingLink:
    """The connections to one host's daemon.

    Parameters
    ----------
    host : HostConfig
    environ : mapping
        Of the user, for SSH.
    local_state : Path
        State directory of the daemon of ``local``.
    """

    def __init__(self, host: HostConfig, environ: Mapping[str, str], local_state: Path) -> None:
        self.host = host
        self.facts: HostFacts | None = None
        self.generation = 0  # counts the connections: what is followed has to be on this one
        self.was_silent = False
        self.is_closed = False
        self._route = route_to(host, environ, local_state)
        self._lock = threading.RLock()
        self._control: DaemonClient | None = None
        self._bulk: DaemonClient | None = None
        self._watchdog: Watchdog | None = None
        self._lost_listeners: list[Callable[[], None]] = []
        self._past = Traffic()
        self._awaited: list[str] = []  # what a daemon of another version stays for

    # the connection

    def connect(self) -> HostFacts:
        """Connect, starting the daemon if there is none; what it says of its host.

        Raises
        ------
        LinkError, HostError
        """
        with self._lock:
            if self.is_open and self.facts:
                return self.facts
            try:
                code, facts = self._greet()
                if code != code_archive().digest and self._retire():
                    _, facts = self._greet()
            except BaseException:
                self._drop()
                raise
            self.facts = facts
            self.was_silent = False
            self.generation += 1
        self._on_connected()
        return self.facts

    def reset(self) -> None:
        """End the connection at once, never waiting for the host; `connect` makes another."""
        self._route.sever()
        for client in (self._control, self._bulk):
            if client is not None:
                client.close()

    def close(self) -> None:
        """End all connections to the host for good; what runs there runs on."""
        self.is_closed = True
        if self._watchdog is not None:
            self._watchdog.stop()
        self.reset()

    @property
    def is_open(self) -> bool:
        """Whether the connection stands, as far as is known."""
        return self._control is not None and self._control.is_open

    def on_lost(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever the connection is lost, in a thread of the link's."""
        self._lost_listeners.append(listener)

    def forget_listener(self, listener: Callable[[], None]) -> None:
        """Call it no more."""
        if listener in self._lost_listeners:
            self._lost_listeners.remove(listener)

    def traffic(self) -> Traffic:
        """Return what all connections so far have carried."""
        clients = [client for client in (self._control, self._bulk) if client is not None]
        return Traffic(
            self._past.sent_bytes + sum(client.sent_bytes for client in clients),
            self._past.received_bytes + sum(client.received_bytes for client in clients),
        )

    def _greet(self, *, retires: bool = True) -> tuple[str, HostFacts]:
        self._drop()
        self._awaited = []
        self._control = control = self._client(start=True)
        self._watchdog = Watchdog(self.host.name, self._heard_bytes, self._fall_silent)
        if self.is_closed:
            self.reset()
            raise LinkLost(f"the connections to {self.host.name} are closed")
        try:
            answer, _ = control.request({"op": "hello", "protocol": PROTOCOL_VERSION})
        except ProtocolError as exc:
            if not retires:
                raise
            if not self._retire():
                raise self._other_version() from exc
            return self._greet(retires=False)
        try:
            return str(answer["code"]), HostFacts.from_json(answer["facts"])
        except (LookupError, TypeError, ValueError) as exc:
            raise ProtocolError(
                f"what answers on {self.host.name} is no daemon of kernelext ({exc!r});"
                " see what holds its socket there"
            ) from exc

    def _client(self, *, start: bool) -> DaemonClient:
        pipe = self._route.open(start=start)
        return DaemonClient(self.host.name, pipe, self._dispatch, self._notice_loss)

    def _retire(self) -> bool:
        """Ask a daemon of another version to go; a busy one stays and is used as it is."""
        answer, _ = self._bare_ask({"op": "retire"})
        busy = [str(each).partition("/") for each in answer["busy"]]  # RUN/FOLD/ATTEMPT, or words
        self._awaited = list(dict.fromkeys(f"the run {a}" if cut else a for a, cut, _ in busy))
        return not self._awaited

    def _other_version(self) -> DaemonError:
        return DaemonError(
            f"the daemon on {self.host.name} is of another version of kernelext, does not know what"
            f" it is asked, and stays until it has done with {', '.join(self._awaited)}: wait for"
            " that, or cancel it, and try again"
        )

    def _drop(self) -> None:
        """End both clients; an SSH connection that stands is used again."""
        self._past = self.traffic()
        clients = self._control, self._bulk
        self._control = self._bulk = None
        if self._watchdog is not None:
            self._watchdog.stop()
        for client in clients:
            if client is not None:
                client.close()

    def _heard_bytes(self) -> int:
        bulk = self._bulk
        heard = sum(client.received_bytes for client in (self._control, bulk) if client is not None)
        if bulk is not None and bulk.is_waiting:
            # While it is being sent, sshd alone says that a large part makes its way.
            heard += self._route.received_bytes
        return heard

    def _fall_silent(self) -> None:
        log.info("link.silent host=%s", self.host.name)
        self.was_silent = True
        self.reset()

    def _notice_loss(self) -> None:
        for listener in list(self._lost_listeners):
            listener()

    def _on_connected(self) -> None:
        """Be told of a new connection."""

    def _dispatch(self, header: Header, body: bytes) -> None:
        """Take what the daemon sends unasked."""

    def ask(self, header: Header, body: bytes | memoryview = b"", timeout_s: float = 60.0) -> Frame:
        """Make a request on the control connection.

        Raises
        ------
        LinkLost
            Also when there is no connection: `connect` again.
        DaemonError
            The daemon is of another version, busy, and does not know the request.
        """
        try:
            return self._bare_ask(header, body, timeout_s)
        except ProtocolError as exc:
            if not self._awaited:
                raise
            if not self._retire():
                raise self._other_version() from exc
            self.reset()
            self.connect()  # to one of this version
            return self._bare_ask(header, body, timeout_s)

    def _bare_ask(
        self, header: Header, body: bytes | memoryview = b"", timeout_s: float = 60.0
    ) -> Frame:
        control = self._control
        if control is None:
            raise LinkLost(f"the connection to {self.host.name} is lost")
        return control.request(header, body, timeout_s)

    def _bulk_client(self) -> DaemonClient:
        with self._lock:
            bulk = self._bulk
            if bulk is None or not bulk.is_open:
                if not self.is_open:
                    raise LinkLost(f"the connection to {self.host.name} is lost")
                try:
                    new = self._client(start=False)
                except SocketAbsent as exc:
                    raise LinkLost(f"the daemon of {self.host.name} has ended") from exc
                if bulk is not None:
                    self._past.sent_bytes += bulk.sent_bytes
                    self._past.received_bytes += bulk.received_bytes
                self._bulk = new
                return new
            return bulk

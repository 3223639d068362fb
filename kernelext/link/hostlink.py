"""One host as its clients use it: connected when needed, control apart from bulk."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernelext.errors import KernelExtError, LinkLost, ProtocolError
from kernelext.hosts import resolve_ssh
from kernelext.link.archive import code_archive
from kernelext.link.client import DaemonClient, Push
from kernelext.link.local import connect_local, start_local
from kernelext.link.pipe import Pipe, SocketAbsent
from kernelext.link.remote import connect_remote, start_remote, wait_remote
from kernelext.link.ssh import SshConnection
from kernelext.models import (
    PROTOCOL_VERSION,
    AttemptId,
    EndCause,
    HostConfig,
    HostFacts,
    ImageFacts,
    RunSpec,
    Task,
    to_json,
)
from kernelext.wire import Frame, Header

log = logging.getLogger(__name__)

IMAGE_TIMEOUT_S = 900.0  # the host may have to pull it
IN_FLIGHT_BYTES = 32 * 1024 * 1024

Part = bytes | memoryview


@dataclass
class Traffic:
    """Bytes that a host's connections have carried, frames included."""

    sent_bytes: int = 0
    received_bytes: int = 0


class HostLink:
    """A host's daemon, within reach.

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
        self._environ = environ
        self._local_state = local_state
        self._lock = threading.RLock()
        self._ssh: SshConnection | None = None
        self._control: DaemonClient | None = None
        self._bulk: DaemonClient | None = None
        self._followers: dict[AttemptId, Push] = {}
        self._lost_listeners: list[Callable[[], None]] = []
        self._images: dict[str, ImageFacts] = {}
        self._past = Traffic()
        self.known: set[str] = set()  # digests that the daemon has shown to hold

    # the connection

    def connect(self) -> HostFacts:
        """Connect, starting the daemon if there is none; what it says of its host.

        Raises
        ------
        LinkError, HostError
        """
        with self._lock:
            if self._control is not None and self._control.is_open and self.facts:
                return self.facts
            self._drop()
            pipe = self._open_pipe(start=True)
            control = self._client(pipe)
            answer, _ = control.request({"op": "hello", "protocol": PROTOCOL_VERSION})
            if answer["code"] != code_archive().digest and self._retire(control):
                control.close()
                pipe = self._open_pipe(start=True)
                control = self._client(pipe)
                answer, _ = control.request({"op": "hello", "protocol": PROTOCOL_VERSION})
            self._control = control
            self.facts = HostFacts.from_json(answer["facts"])
            return self.facts

    def close(self) -> None:
        """End all connections to the host; what runs there runs on."""
        with self._lock:
            self._drop()

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

    def _open_pipe(self, *, start: bool) -> Pipe:
        archive = code_archive()
        if self.host.is_local:
            try:
                return connect_local(self._local_state)
            except SocketAbsent:
                if not start:
                    raise
                start_local(self._local_state, archive, self._environ)
                return connect_local(self._local_state)
        connection = self._connection()
        try:
            return connect_remote(connection, self.host, archive)
        except SocketAbsent:
            if not start:
                raise
            start_remote(connection, self.host, archive)
            return wait_remote(connection, self.host, archive)

    def _connection(self) -> SshConnection:
        if self._ssh is None or not self._ssh.is_open():

            def resolve(target: str) -> Any:
                return resolve_ssh(target, self._environ)

            assert self.host.ssh is not None
            self._ssh = SshConnection.open(self.host.name, resolve(self.host.ssh), resolve=resolve)
        return self._ssh

    def _client(self, pipe: Pipe) -> DaemonClient:
        return DaemonClient(self.host.name, pipe, self._dispatch, self._notice_loss)

    def _retire(self, control: DaemonClient) -> bool:
        """Ask a daemon of another version to go; a busy one stays and is used as it is."""
        answer, _ = control.request({"op": "retire"})
        return not answer["busy"]

    def _drop(self) -> None:
        self._past = self.traffic()
        for client in (self._control, self._bulk):
            if client is not None:
                client.close()
        self._control = self._bulk = None
        if self._ssh is not None:
            self._ssh.close()
            self._ssh = None

    def _notice_loss(self) -> None:
        for listener in list(self._lost_listeners):
            listener()

    def _dispatch(self, header: Header, body: bytes) -> None:
        follower = self._followers.get(AttemptId.from_json(header["attempt"]))
        if follower is not None:
            follower(header, body)

    # requests

    def ask(self, header: Header, body: Part = b"", timeout_s: float = 60.0) -> Frame:
        """Make a request on the control connection.

        Raises
        ------
        LinkLost
            Also when there is no connection: `connect` again.
        """
        control = self._control
        if control is None:
            raise LinkLost(f"the connection to {self.host.name} is lost")
        return control.request(header, body, timeout_s)

    def image(self, name: str | None) -> ImageFacts:
        """Ask what an image holds; asked once a connection."""
        key = name or self.host.image or ""
        if key not in self._images:
            answer, _ = self.ask({"op": "image", "image": key}, timeout_s=IMAGE_TIMEOUT_S)
            self._images[key] = ImageFacts.from_json(answer["facts"])
        return self._images[key]

    def missing(self, digests: Sequence[str]) -> list[str]:
        """Ask which blobs the host lacks; what it has is remembered."""
        answer, _ = self.ask({"op": "missing", "digests": list(digests)})
        lacking = [str(digest) for digest in answer["missing"]]
        self.known.update(set(digests) - set(lacking))
        return lacking

    def put(self, parts: Iterable[tuple[str, Part]]) -> None:
        """Send blobs on the bulk connection, many in flight.

        Raises
        ------
        LinkLost
            What has arrived stays there.
        """
        bulk = self._bulk_client()
        flying: list[tuple[Future[Frame], str, int]] = []
        total = 0
        for digest, data in parts:
            flying.append((bulk.send({"op": "put", "digest": digest}, data), digest, len(data)))
            total += len(data)
            while flying and total > IN_FLIGHT_BYTES:
                total -= self._landed(bulk, flying)
        while flying:
            self._landed(bulk, flying)

    def _landed(self, bulk: DaemonClient, flying: list[tuple[Future[Frame], str, int]]) -> int:
        answer, digest, size = flying.pop(0)
        bulk.result(answer, timeout_s=600.0)
        self.known.add(digest)
        return size

    def submit(
        self,
        spec: RunSpec,
        tasks: Sequence[Task],
        inline: Sequence[tuple[str, Part]],
        env: Mapping[str, str],
    ) -> list[str]:
        """Queue folds on the host; which blobs it lacks, when it could not."""
        header = {
            "op": "submit",
            "spec": to_json(spec),
            "tasks": to_json(tasks),
            "inline": [[digest, len(data)] for digest, data in inline],
            "env": dict(env),
        }
        answer, _ = self.ask(header, b"".join(inline_part for _, inline_part in inline))
        lacking = [str(digest) for digest in answer["missing"]]
        self.known.update(digest for digest, _ in inline)
        self.known.difference_update(lacking)
        return lacking

    def follow(self, attempt: AttemptId, offset: int, follower: Push) -> None:
        """Have the journal from `offset` on, states and the end pushed to `follower`."""
        self._followers[attempt] = follower
        self.ask({"op": "follow", "attempt": to_json(attempt), "offset": offset})

    def unfollow(self, attempt: AttemptId) -> None:
        """Hear no more of an attempt."""
        self._followers.pop(attempt, None)

    def get(self, attempt: AttemptId, digest: str) -> bytes:
        """Fetch one chunk of a result on the bulk connection."""
        request = {"op": "get", "attempt": to_json(attempt), "digest": digest}
        _, data = self._bulk_client().request(request, timeout_s=600.0)
        return data

    def interrupt(self, attempt: AttemptId, timeout_s: float = 10.0) -> None:
        """Send SIGINT to the cell."""
        self.ask({"op": "interrupt", "attempt": to_json(attempt)}, timeout_s=timeout_s)

    def kill(self, attempt: AttemptId, cause: EndCause, timeout_s: float = 10.0) -> None:
        """Kill the attempt's container, or take it from the queue."""
        request = {"op": "kill", "attempt": to_json(attempt), "cause": cause.value}
        self.ask(request, timeout_s=timeout_s)

    def release(self, attempt: AttemptId) -> None:
        """Have the host delete what it keeps of an ended attempt."""
        self.ask({"op": "release", "attempt": to_json(attempt)})

    def refresh(self) -> HostFacts:
        """Ask how the host does now."""
        answer, _ = self.ask({"op": "facts"})
        self.facts = HostFacts.from_json(answer["facts"])
        return self.facts

    def _bulk_client(self) -> DaemonClient:
        with self._lock:
            if self._bulk is None or not self._bulk.is_open:
                if not self.is_open:
                    raise LinkLost(f"the connection to {self.host.name} is lost")
                try:
                    pipe = self._open_pipe(start=False)
                except ProtocolError:
                    raise
                except KernelExtError as exc:
                    raise LinkLost(f"the connection to {self.host.name} is lost") from exc
                self._bulk = self._client(pipe)
            return self._bulk

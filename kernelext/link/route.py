"""The way to a host's daemon: on this machine, or by SSH. It opens pipes and speaks no protocol."""

from __future__ import annotations

import contextlib
import dataclasses
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from kernelext.errors import LinkLost, UnknownHost
from kernelext.hosts import find_context, resolve_ssh
from kernelext.hosts.config import HostConfig
from kernelext.hosts.sshconfig import SshTarget
from kernelext.link.archive import code_archive
from kernelext.link.engine import ContextEngine
from kernelext.link.engine_daemon import connect_on_engine, start_on_engine, wait_on_engine
from kernelext.link.local import connect_local, start_local
from kernelext.link.openssh import OpenSshConnection
from kernelext.link.pipe import Pipe, Shell, SocketAbsent
from kernelext.link.remote import connect_remote, start_remote, wait_remote
from kernelext.link.ssh import SshConnection

RETRY_TIMEOUT_S = 3.0  # for TCP, where the host is known and is asked again every second
RETRY_ANSWER_TIMEOUT_S = 15.0
RETRY_LOGIN_TIMEOUT_S = 10.0  # for all of it, where the ssh program does it


class Route(Protocol):
    """Opens pipes to one daemon."""

    def open(self, *, start: bool) -> Pipe:
        """Connect to the daemon, starting it if there is none and `start` says so.

        Raises
        ------
        SocketAbsent
            There is none, and it was not to be started.
        LinkError, HostError
        """

    def sever(self) -> None:
        """End every pipe at once; never waits for the far side."""

    @property
    def received_bytes(self) -> int:
        """What has come on the present connection, whatever it belongs to."""


class LocalRoute:
    """To the daemon of this machine."""

    def __init__(self, state_dir: Path, environ: Mapping[str, str]) -> None:
        self._state_dir = state_dir
        self._environ = environ
        self.received_bytes = 0

    def open(self, *, start: bool) -> Pipe:
        """Connect to the daemon, starting it if there is none and `start` says so."""
        try:
            return connect_local(self._state_dir)
        except SocketAbsent:
            if not start:
                raise
            start_local(self._state_dir, code_archive(), self._environ)
            return connect_local(self._state_dir)

    def sever(self) -> None:
        """Do nothing: each pipe ends by itself."""


class EngineRoute:
    """To the daemon on a Docker engine that a context names."""

    def __init__(self, host: HostConfig, environ: Mapping[str, str]) -> None:
        self._host = host
        self._environ = environ
        self._pipes: weakref.WeakSet[Pipe] = weakref.WeakSet()
        self._was_there = False

    def open(self, *, start: bool) -> Pipe:
        """Connect to the daemon, starting it if there is none and `start` says so."""
        try:
            pipe = self._open(self._engine(), start=start)
        except (TimeoutError, OSError) as exc:
            raise LinkLost(f"{self._host.name} has stopped answering ({exc})") from exc
        self._pipes.add(pipe)
        self._was_there = True
        return pipe

    def sever(self) -> None:
        """End every pipe."""
        for pipe in list(self._pipes):
            with contextlib.suppress(OSError):
                pipe.close()

    @property
    def received_bytes(self) -> int:
        """What has come on the present pipes."""
        return sum(getattr(pipe, "received_bytes", 0) for pipe in list(self._pipes))

    def _engine(self) -> ContextEngine:
        assert self._host.context is not None
        context = find_context(self._host.context, self._environ)
        if context is None:
            raise UnknownHost(
                f"There is no Docker context {self._host.context}: see `docker context ls`."
            )
        if self._was_there:
            timeouts_s = RETRY_TIMEOUT_S, RETRY_ANSWER_TIMEOUT_S
            return ContextEngine(self._host.name, context, *timeouts_s)
        return ContextEngine(self._host.name, context)

    def _open(self, engine: ContextEngine, *, start: bool) -> Pipe:
        try:
            return connect_on_engine(engine, self._host)
        except SocketAbsent:
            if not start:
                raise
        archive = code_archive()
        start_on_engine(engine, self._host, archive)
        return wait_on_engine(engine, self._host, archive)


class SshRoute:
    """To the daemon of a host, over one SSH connection that is kept."""

    def __init__(self, host: HostConfig, environ: Mapping[str, str]) -> None:
        self._host = host
        self._environ = environ
        self._ssh: Shell | None = None
        self._was_there = False

    def open(self, *, start: bool) -> Pipe:
        """Connect to the daemon, starting it if there is none and `start` says so."""
        archive = code_archive()
        try:
            connection = self._connection()
            try:
                return connect_remote(connection, self._host, archive)
            except SocketAbsent:
                if not start:
                    raise
            start_remote(connection, self._host, archive)
            return wait_remote(connection, self._host, archive)
        except TimeoutError as exc:
            self.sever()
            raise LinkLost(f"{self._host.name} has stopped answering ({exc})") from exc

    def sever(self) -> None:
        """End the SSH connection."""
        connection, self._ssh = self._ssh, None
        if connection is not None:
            connection.close()

    @property
    def received_bytes(self) -> int:
        """What has come on the present connection."""
        return self._ssh.received_bytes if self._ssh else 0

    def _connection(self) -> Shell:
        if self._ssh is None or not self._ssh.is_open():
            self.sever()
            assert self._host.ssh is not None
            if self._host.transport == "openssh":
                self._ssh = self._by_program(self._host.ssh)
            else:
                self._ssh = self._by_paramiko(self._host.ssh)
            self._was_there = True
        return self._ssh

    def _by_program(self, ssh: str) -> Shell:
        if not self._was_there:
            return OpenSshConnection.open(self._host.name, ssh, self._environ)
        return OpenSshConnection.open(
            self._host.name,
            ssh,
            self._environ,
            timeout_s=RETRY_TIMEOUT_S,
            login_timeout_s=RETRY_LOGIN_TIMEOUT_S,
        )

    def _by_paramiko(self, ssh: str) -> Shell:
        target = self._resolve(ssh)
        if self._was_there:
            limit_s = min(target.connect_timeout_s or RETRY_TIMEOUT_S, RETRY_TIMEOUT_S)
            target = dataclasses.replace(target, connect_timeout_s=limit_s)
        return SshConnection.open(self._host.name, target, resolve=self._resolve)

    def _resolve(self, target: str) -> SshTarget:
        return resolve_ssh(target, self._environ)


def route_to(host: HostConfig, environ: Mapping[str, str], local_state: Path) -> Route:
    """Choose the way to a host's daemon."""
    if host.is_local:
        return LocalRoute(local_state, environ)
    return SshRoute(host, environ) if host.ssh else EngineRoute(host, environ)

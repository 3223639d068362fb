"""Connections by SSH on paramiko, one a process and host; knows nothing of daemons and cells."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import logging
import random
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import paramiko
from paramiko.agent import AgentSSH
from paramiko.common import cMSG_CHANNEL_OPEN

from kernelext.errors import ConnectError
from kernelext.hosts.sshconfig import SshTarget
from kernelext.link import algorithms
from kernelext.link.channels import WINDOW_BYTES, SshPipe, SshProcess
from kernelext.link.connection import Connection, Refused
from kernelext.link.host_keys import HostKey, by_program, verify
from kernelext.link.login import Offers, UnusableKey
from kernelext.link.tcp import Wire, connect

__all__ = ["HostKey", "SshConnection", "SshPipe", "SshProcess", "host_key"]

PACKET_BYTES = 64 * 1024
KEEPALIVE_S = 5
FAR_S = 0.005  # nearer than this, sshd's waiting for acknowledgements is not felt
LOGIN_TIMEOUT_S = 30.0  # sshd may look names up, or ask a directory, before it answers
BUSY_WAITS_S = (0.2, 0.5, 1.0, 2.0)
FULL = b"Exceeded MaxStartups\r\n"
PROHIBITED = 1
PARAMIKO_LOG = "kernelext.paramiko"

Resolve = Callable[[str], SshTarget]

log = logging.getLogger(__name__)
# paramiko logs as errors what we raise; where nobody listens Python would print it.
logging.getLogger(PARAMIKO_LOG).addHandler(logging.NullHandler())


class SshConnection(Connection):
    """A `Connection` on one TCP socket of this process."""

    _BROKEN = (OSError, EOFError, paramiko.SSHException)

    def __init__(self, host: str, target: SshTarget, wire: Wire, hop: SshConnection | None) -> None:
        super().__init__(host, f"{target.user}@{target.hostname}")
        self._target = target
        self._wire = wire
        self._hop = hop
        self._opening = threading.Lock()
        self._transport = paramiko.Transport(wire, WINDOW_BYTES, PACKET_BYTES)
        self._transport.set_log_channel(PARAMIKO_LOG)

    @classmethod
    def open(
        cls, host: str, target: SshTarget, *, resolve: Resolve, timeout_s: float = 10.0
    ) -> SshConnection:
        """Connect, check the host's key and log in, through other hosts where `target` says so.

        Parameters
        ----------
        host : str
            The name the user typed, for messages.
        target : SshTarget
        resolve : callable
            Gives the target of a host to jump through.
        timeout_s : float
            For each step; a target's own counts for its TCP connection.

        Raises
        ------
        ConnectError
            Nobody answers, or the login is refused.
        HostKeyError
            The key of the host, or of one on the way, is not the known one.
        """
        connection = _shake_hands(host, target, resolve, timeout_s)
        try:
            verify(host, target, connection._shown_key())
            connection._log_in()
            connection._transport.set_keepalive(KEEPALIVE_S)
            if connection._wire.opening_s > FAR_S:
                connection._hurry()
        except BaseException:
            connection.close()
            raise
        log.debug("ssh.opened host=%s address=%s", host, connection.address)
        return connection

    @property
    def sent_bytes(self) -> int:
        """Bytes written to the TCP socket so far."""
        return self._hop.sent_bytes if self._hop else self._wire.sent_bytes

    @property
    def received_bytes(self) -> int:
        """Bytes read from the TCP socket so far."""
        return self._hop.received_bytes if self._hop else self._wire.received_bytes

    def is_open(self) -> bool:
        """Whether nothing has ended it, as far as is known here."""
        return bool(self._transport.is_active())

    def close(self) -> None:
        """End it and the connections it goes through; never waits for the far side."""
        if self._hop:
            self._hop.close()  # first: what goes through it must not wait for it
        self._wire.close()
        with contextlib.suppress(*self._BROKEN):
            self._transport.close()
        self._transport.packetizer.complete_handshake()  # ends its timer's thread
        for thread in (self._transport, self._hurrying):
            if thread and thread.is_alive():
                thread.join(0.3)

    def raise_if_lost(self) -> None:
        """Raise `LinkLost` if the connection has ended.

        Raises
        ------
        LinkLost
        """
        # paramiko closes the channels a moment before it says that the connection is over.
        self._transport.join(0.1)
        if not self.is_open():
            raise self.lost()

    def _open_session(self, timeout_s: float) -> paramiko.Channel:
        return self._open_channel(
            lambda: self._transport.open_session(timeout=timeout_s), timeout_s
        )

    def _open_socket(self, path: str, timeout_s: float, window_bytes: int) -> paramiko.Channel:
        return self._open_channel(
            lambda: _open_socket_channel(self._transport, path, timeout_s, window_bytes), timeout_s
        )

    def _open_tcp(self, address: tuple[str, int], timeout_s: float) -> paramiko.Channel:
        kind, origin = "direct-tcpip", ("127.0.0.1", 0)
        return self._open_channel(
            lambda: self._transport.open_channel(kind, address, origin, timeout=timeout_s),
            timeout_s,
        )

    def _open_channel(
        self, open_it: Callable[[], paramiko.Channel], timeout_s: float
    ) -> paramiko.Channel:
        # One at a time: paramiko keeps the reason of a refusal with the connection.
        if not self._opening.acquire(timeout=timeout_s):
            raise self._late(timeout_s)
        try:
            return open_it()
        except paramiko.ChannelException as exc:
            raise Refused(is_prohibited=exc.code == PROHIBITED) from exc
        except self._BROKEN as exc:
            self.raise_if_lost()
            raise self._late(timeout_s) from exc
        finally:
            self._opening.release()

    def _shown_key(self) -> HostKey:
        key = self._transport.get_remote_server_key()
        return HostKey.from_bytes(key.get_name(), key.asbytes())

    def _log_in(self) -> None:
        asked_for: Sequence[str] = ()
        transport = self._transport
        certified = functools.partial(_certified, self._target.certificate_files)
        offers = Offers(
            self._target,
            lambda file: certified(_load_key(file)),
            lambda sock: certified(_list_agent(sock)),
        )
        with contextlib.closing(offers):
            for key in offers:
                try:
                    # What it returns is what the host wants besides.
                    asked_for = transport.auth_publickey(self._target.user, key)
                except paramiko.BadAuthenticationType as exc:
                    asked_for = exc.allowed_types
                except paramiko.AuthenticationException:
                    if transport.is_active():
                        continue
                except self._BROKEN as exc:
                    raise ConnectError(f"{self.host} broke off the login ({exc}).") from exc
                if transport.is_authenticated():
                    return
                break  # it hung up, or keys will not do
            raise ConnectError(
                offers.refusal(self.host, self.address, asked_for, is_open=self.is_open())
            )


def host_key(host: str, target: SshTarget, *, resolve: Resolve, timeout_s: float = 10.0) -> HostKey:
    """Learn a server's key without logging in; the keys of hosts on the way must be known.

    Parameters
    ----------
    host : str
        The name the user typed, for messages.
    target : SshTarget
    resolve : callable
        Gives the target of a host to jump through.
    timeout_s : float
        For each step.

    Raises
    ------
    ConnectError
    HostKeyError
        Of a host on the way.
    """
    connection = _shake_hands(host, target, resolve, timeout_s)
    try:
        return connection._shown_key()
    finally:
        connection.close()


def _shake_hands(host: str, target: SshTarget, resolve: Resolve, timeout_s: float) -> SshConnection:
    """Connect and agree on keys; nothing is verified and nobody logged in yet.

    An sshd drops some of those who come all at once (its MaxStartups): they try again.
    """
    for wait_s in (*BUSY_WAITS_S, None):
        try:
            return _try_hands(host, target, resolve, timeout_s)
        except _Dropped as exc:
            if wait_s is None:  # who came to jump through it does not begin once more
                raise ConnectError(str(exc)) from exc.__cause__
            time.sleep(wait_s * random.uniform(0.5, 1.5))  # noqa: S311 - else all are back at once
    raise AssertionError


class _Dropped(ConnectError):
    """A server that hung up before it said anything, or because too many had come."""


def _try_hands(host: str, target: SshTarget, resolve: Resolve, timeout_s: float) -> SshConnection:
    wire, hop = _dial(host, target, resolve, timeout_s)
    connection = SshConnection(host, target, wire, hop)
    transport = connection._transport
    try:
        algorithms.allow(transport.get_security_options(), host, target)
        transport.banner_timeout = transport.handshake_timeout = timeout_s
        transport.auth_timeout = max(timeout_s, LOGIN_TIMEOUT_S)
        transport.start_client(timeout=timeout_s)
        if not transport.initial_kex_done:  # paramiko returns without a word
            raise TimeoutError("it is silent")
        algorithms.check_length(transport.get_remote_server_key(), host, target)
    except BaseException as exc:
        connection.close()
        if isinstance(exc, SshConnection._BROKEN):
            is_hung_up = isinstance(exc.__context__, (EOFError, ConnectionResetError))
            is_dropped = is_hung_up and wire.heard_only(FULL)
            raise (_Dropped if is_dropped else ConnectError)(
                f"{host} ({target.hostname}:{target.port}) answers, but not as an SSH server "
                f"({str(exc) or 'it hangs up'}): see what `ssh -v {host}` says."
            ) from exc
        raise
    return connection


def _dial(
    host: str, target: SshTarget, resolve: Resolve, timeout_s: float
) -> tuple[Wire, SshConnection | None]:
    if target.proxy_command:
        raise ConnectError(
            f"{host} is reached by a ProxyCommand, which kernelext does not run: "
            f"{by_program(host)}, or use ProxyJump in ~/.ssh/config."
        )
    if target.not_ours:
        raise ConnectError(
            f"The SSH configuration of {host} has {' and '.join(target.not_ours)}, which "
            f"kernelext cannot honour: {by_program(host)}."
        )
    timeout_s = target.connect_timeout_s or timeout_s
    started = time.monotonic()
    if not target.proxy_jump:
        sock = connect(host, target.hostname, target.port, timeout_s, target.address_family)
        return Wire(sock, time.monotonic() - started), None
    *earlier, last = target.proxy_jump
    hop_target = resolve(last)
    if earlier:  # as OpenSSH does: those named before a jump are the way to it
        trusted_as = target.trusted_as or host  # by itself, it may be out of reach
        hop_target = dataclasses.replace(
            hop_target, proxy_jump=tuple(earlier), proxy_command=None, trusted_as=trusted_as
        )
    hop = SshConnection.open(last, hop_target, resolve=_except(host, resolve), timeout_s=timeout_s)
    started = time.monotonic()
    try:
        channel = hop._open_tcp((target.hostname, target.port), timeout_s)
        return Wire(channel, time.monotonic() - started), hop
    except BaseException as exc:
        hop.close()
        if isinstance(exc, Refused) and exc.is_prohibited:
            raise ConnectError(
                f"{last} forbids going on to {host}: ask its administrator for AllowTcpForwarding."
            ) from exc
        if isinstance(exc, (TimeoutError, Refused)):
            raise ConnectError(
                f"{last} does not reach {host} ({target.hostname}:{target.port}): check that it "
                "is up, and its address as seen from there."
            ) from exc
        raise


def _except(host: str, resolve: Resolve) -> Resolve:
    def resolve_another(name: str) -> SshTarget:
        if name == host:
            raise ConnectError(
                f"ProxyJump leads from {host} back to {host}: mend the SSH configuration."
            )
        return resolve(name)

    return resolve_another


def _open_socket_channel(
    transport: paramiko.Transport, path: str, timeout_s: float, window_bytes: int
) -> paramiko.Channel:
    """Open a direct-streamlocal@openssh.com channel, for which paramiko has no public call.

    After `paramiko.Transport.open_channel` (5.1), with the private names that it uses: lock,
    _next_channel, _channels, channel_events, channels_seen and _send_user_message of the
    transport, _set_transport and _set_window of the channel. tests/link/test_ssh.py holds it.
    """
    opened = threading.Event()
    with transport.lock:
        number = transport._next_channel()
        channel = paramiko.Channel(number)
        transport._channels.put(number, channel)
        transport.channel_events[number] = opened
        transport.channels_seen[number] = True
        channel._set_transport(transport)
        channel._set_window(window_bytes, PACKET_BYTES)
    message = paramiko.Message()
    message.add_byte(cMSG_CHANNEL_OPEN)
    message.add_string("direct-streamlocal@openssh.com")
    for value in (number, window_bytes, PACKET_BYTES):
        message.add_int(value)
    message.add_string(path)
    message.add_string("")  # both reserved
    message.add_int(0)
    transport._send_user_message(message)
    if not opened.wait(timeout_s):
        transport._channels.delete(number)
        raise paramiko.SSHException("Timeout opening channel.")
    if transport._channels.get(number) is None or not transport.is_active():
        raise transport.get_exception() or paramiko.SSHException("Unable to open channel.")
    return channel


def _load_key(file: Path) -> Sequence[paramiko.PKey]:
    try:
        key = paramiko.PKey.from_path(file)
    except (TypeError, paramiko.PasswordRequiredException) as exc:
        raise UnusableKey(f"it has a passphrase: run `ssh-add {file}`") from exc
    except (OSError, ValueError, paramiko.SSHException, paramiko.pkey.UnknownKeyType) as exc:
        # Also a good key without a comment, one time in eight: paramiko 5.1 errs in its padding.
        raise UnusableKey(f"paramiko cannot read it: run `ssh-add {file}`") from exc
    if not key.public_blob:
        return (key,)
    plain = copy.copy(key)
    plain.public_blob = None
    return (key, plain)


def _certified(files: Sequence[Path], keys: Sequence[paramiko.PKey]) -> Sequence[paramiko.PKey]:
    """Put before each key its copies with the certificates that are about it."""
    found = []
    for key in keys:
        # A certificate has a name and a nonce, then what the key has after its own name.
        public = key.asbytes()[4 + len(key.get_name()) :]
        for file in files:
            try:
                blob = paramiko.pkey.PublicBlob.from_file(str(file))
            except (OSError, ValueError) as exc:
                raise UnusableKey(f"its certificate {file} cannot be read") from exc
            if public in blob.key_blob and not key.public_blob:
                copied = copy.copy(key)
                copied.public_blob = blob
                found.append(copied)
        found.append(key)
    return found


def _list_agent(sock: socket.socket) -> Sequence[paramiko.PKey]:
    agent = AgentSSH()
    try:
        agent._connect(sock)  # paramiko's public Agent knows the environment's socket alone
    except paramiko.SSHException as exc:
        raise UnusableKey(str(exc)) from exc
    keys: Sequence[paramiko.PKey] = agent.get_keys()
    return keys

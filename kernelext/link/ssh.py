"""One SSH connection a process and host, on paramiko; knows nothing of daemons and cells."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import logging
import re
import shlex
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import paramiko
from paramiko.agent import AgentSSH
from paramiko.common import cMSG_CHANNEL_OPEN

from kernelext.errors import ConnectError, LinkError, LinkLost
from kernelext.hosts.sshconfig import SshTarget
from kernelext.link.channels import WINDOW_BYTES, SshPipe, SshProcess
from kernelext.link.host_keys import HostKey, preferred_types, verify
from kernelext.link.login import Offers, UnusableKey
from kernelext.link.pipe import ForwardingForbidden, SocketAbsent
from kernelext.link.tcp import Wire, connect

__all__ = ["HostKey", "SshConnection", "SshPipe", "SshProcess", "host_key"]

PACKET_BYTES = 32 * 1024
KEEPALIVE_S = 5
LOGIN_TIMEOUT_S = 30.0  # sshd may look names up, or ask a directory, before it answers
CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)
PROHIBITED = 1
CONNECT_FAILED = 2
PARAMIKO_LOG = "kernelext.paramiko"

_SOCKETS = 'printf "kernelext:%s:%s\\n" "$SSH_AUTH_SOCK" "$(test -S "$0" && echo there)"; cat'

Resolve = Callable[[str], SshTarget]

log = logging.getLogger(__name__)
# paramiko logs as errors what we raise; where nobody listens Python would print it.
logging.getLogger(PARAMIKO_LOG).addHandler(logging.NullHandler())


class SshConnection:
    """An authenticated connection to a host with many channels; for use from many threads.

    Attributes
    ----------
    host : str
        What the user calls it.
    address : str
        ``user@hostname``, for people.
    """

    def __init__(self, host: str, target: SshTarget, wire: Wire, hop: SshConnection | None) -> None:
        self.host = host
        self.address = f"{target.user}@{target.hostname}"
        self._target = target
        self._wire = wire
        self._hop = hop
        self._opening = threading.Lock()
        self._may_forward: bool | None = None  # not tried yet
        self._transport = paramiko.Transport(
            wire, default_window_size=WINDOW_BYTES, default_max_packet_size=PACKET_BYTES
        )
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

    def open_socket(self, path: str, timeout_s: float) -> SshPipe:
        """Connect to a Unix socket of the host.

        Parameters
        ----------
        path : str
        timeout_s : float
            For the connection; the pipe has none until `settimeout`.

        Raises
        ------
        SocketAbsent
        ForwardingForbidden
        TimeoutError, LinkLost
        """
        try:
            channel = self._open_channel(timeout_s, socket_path=path)
        except paramiko.ChannelException as exc:
            # sshd gives one answer where it may not and where nobody listens.
            if exc.code == PROHIBITED or not self._try_forwarding(path, timeout_s):
                raise ForwardingForbidden(
                    f"{self.host} forbids the forwarding of sockets: ask its administrator for "
                    "AllowStreamLocalForwarding in sshd_config."
                ) from exc
            raise SocketAbsent(f"Nobody listens at {path} on {self.host}.") from exc
        self._may_forward = True
        return SshPipe(self, channel)

    def execute(self, argv: Sequence[str], timeout_s: float) -> SshProcess:
        """Start a command on the host, by the login's shell.

        Parameters
        ----------
        argv : sequence of str
        timeout_s : float
            For the start, and until `settimeout` for every wait on the pipe.

        Raises
        ------
        LinkError
            The host grants no further session.
        TimeoutError, LinkLost
        """
        return self._execute(self._open_session(timeout_s), argv, timeout_s)

    def close(self) -> None:
        """End it and the connections it goes through; never waits for the far side."""
        if self._hop:
            self._hop.close()  # first: what goes through it must not wait for it
        self._wire.close()
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self._transport.close()
        self._transport.packetizer.complete_handshake()  # ends its timer's thread
        if self._transport.is_alive():
            self._transport.join(0.5)

    def lost(self) -> LinkLost:
        """Make the error of a connection that broke."""
        return LinkLost(f"The connection to {self.host} ({self.address}) broke.")

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

    @contextlib.contextmanager
    def guard(self) -> Iterator[None]:
        """Turn foreign errors into `LinkLost`; let `TimeoutError` pass."""
        try:
            yield
        except TimeoutError:
            raise
        except (OSError, EOFError, paramiko.SSHException) as exc:
            raise self.lost() from exc

    def _shown_key(self) -> HostKey:
        key = self._transport.get_remote_server_key()
        return HostKey.from_bytes(key.get_name(), key.asbytes())

    def _log_in(self) -> None:
        asked_for: Sequence[str] = ()
        transport = self._transport
        with contextlib.closing(Offers(self._target, _load_key, _list_agent)) as offers:
            for key in offers:
                try:
                    # What it returns is what the host wants besides.
                    asked_for = transport.auth_publickey(self._target.user, key)
                except paramiko.BadAuthenticationType as exc:
                    asked_for = exc.allowed_types
                except paramiko.AuthenticationException:
                    if transport.is_active():
                        continue
                except (OSError, EOFError, paramiko.SSHException) as exc:
                    raise ConnectError(f"{self.host} broke off the login ({exc}).") from exc
                if transport.is_authenticated():
                    return
                break  # it hung up, or keys will not do
            raise ConnectError(
                offers.refusal(self.host, self.address, asked_for, is_open=self.is_open())
            )

    def _open_channel(
        self, timeout_s: float, *, socket_path: str = "", address: tuple[str, int] | None = None
    ) -> paramiko.Channel:
        # One at a time: paramiko keeps the reason of a refusal with the connection.
        if not self._opening.acquire(timeout=timeout_s):
            raise self._late(timeout_s)
        try:
            if socket_path:
                return _open_socket_channel(self._transport, socket_path, timeout_s)
            kind = "direct-tcpip" if address else "session"
            origin = ("127.0.0.1", 0) if address else None
            return self._transport.open_channel(kind, address, origin, timeout=timeout_s)
        except paramiko.ChannelException:
            raise
        except (OSError, EOFError, paramiko.SSHException) as exc:
            self.raise_if_lost()
            raise self._late(timeout_s) from exc
        finally:
            self._opening.release()

    def _open_session(self, timeout_s: float) -> paramiko.Channel:
        try:
            return self._open_channel(timeout_s)
        except paramiko.ChannelException as exc:
            raise LinkError(
                f"{self.host} grants no further session: end another one, or raise MaxSessions "
                "in its sshd_config."
            ) from exc

    def _execute(
        self, channel: paramiko.Channel, argv: Sequence[str], timeout_s: float
    ) -> SshProcess:
        late = threading.Timer(timeout_s, channel.close)  # exec_command waits for ever
        late.daemon = True
        late.start()
        try:
            channel.exec_command(shlex.join(argv))
        except (OSError, EOFError, paramiko.SSHException) as exc:
            self.raise_if_lost()
            if late.finished.is_set():
                raise self._late(timeout_s) from exc
            raise LinkError(f"{self.host} runs no commands for {self.address}.") from exc
        finally:
            late.cancel()
        channel.settimeout(timeout_s)
        return SshProcess(self, channel)

    def _try_forwarding(self, path: str, timeout_s: float) -> bool:
        """Ask for a socket at which sshd itself listens: that of an agent, which is not there."""
        if self._may_forward is not None:
            return self._may_forward
        channel = self._open_session(timeout_s)
        channel.request_forward_agent(lambda agent: agent.close())
        process = self._execute(channel, ["sh", "-c", _SOCKETS, path], timeout_s)
        said, found = b"", None
        try:
            while found is None and (data := process.recv(WINDOW_BYTES)):
                said += data
                found = re.search(rb"kernelext:(.*):(.*)\n", said)
            if found is None:
                return True
            if not found[1]:  # no forwarding of agents either: a socket that is there decides
                return not found[2]
            self._open_channel(timeout_s, socket_path=found[1].decode()).close()
            self._may_forward = True
        except paramiko.ChannelException:
            self._may_forward = False
        finally:
            process.close()
        return self._may_forward

    def _late(self, timeout_s: float) -> TimeoutError:
        return TimeoutError(f"{self.host} has not answered within {timeout_s:g} s.")


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
    """Connect and agree on keys; nothing is verified and nobody logged in yet."""
    wire, hop = _dial(host, target, resolve, timeout_s)
    connection = SshConnection(host, target, wire, hop)
    transport = connection._transport
    try:
        options = transport.get_security_options()
        options.ciphers = CIPHERS
        options.key_types = preferred_types(options.key_types, target)
        transport.banner_timeout = transport.handshake_timeout = timeout_s
        transport.auth_timeout = max(timeout_s, LOGIN_TIMEOUT_S)
        transport.start_client(timeout=timeout_s)
        if not transport.initial_kex_done:  # paramiko returns without a word
            raise TimeoutError("it is silent")
    except BaseException as exc:
        connection.close()
        if isinstance(exc, (OSError, EOFError, paramiko.SSHException)):
            raise ConnectError(
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
            f"{host} is reached by a ProxyCommand, which kernelext does not run yet: use "
            "ProxyJump in ~/.ssh/config."
        )
    timeout_s = target.connect_timeout_s or timeout_s
    if not target.proxy_jump:
        return Wire(connect(host, target.hostname, target.port, timeout_s)), None
    *earlier, last = target.proxy_jump
    hop_target = resolve(last)
    if earlier:  # as OpenSSH does: those named before a jump are the way to it
        hop_target = dataclasses.replace(hop_target, proxy_jump=tuple(earlier))
    hop = SshConnection.open(last, hop_target, resolve=_except(host, resolve), timeout_s=timeout_s)
    try:
        return Wire(hop._open_channel(timeout_s, address=(target.hostname, target.port))), hop
    except BaseException as exc:
        hop.close()
        if isinstance(exc, paramiko.ChannelException) and exc.code == PROHIBITED:
            raise ConnectError(
                f"{last} forbids going on to {host}: ask its administrator for AllowTcpForwarding."
            ) from exc
        if isinstance(exc, (TimeoutError, paramiko.ChannelException)):
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
    transport: paramiko.Transport, path: str, timeout_s: float
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
        channel._set_window(WINDOW_BYTES, PACKET_BYTES)
    message = paramiko.Message()
    message.add_byte(cMSG_CHANNEL_OPEN)
    message.add_string("direct-streamlocal@openssh.com")
    for value in (number, WINDOW_BYTES, PACKET_BYTES):
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
        raise UnusableKey("it cannot be read as a private key") from exc
    if not key.public_blob:
        return (key,)
    plain = copy.copy(key)
    plain.public_blob = None
    return (key, plain)


def _list_agent(sock: socket.socket) -> Sequence[paramiko.PKey]:
    agent = AgentSSH()
    try:
        agent._connect(sock)  # paramiko's public Agent knows the environment's socket alone
    except paramiko.SSHException as exc:
        raise UnusableKey(str(exc)) from exc
    keys: Sequence[paramiko.PKey] = agent.get_keys()
    return keys

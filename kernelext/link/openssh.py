"""Connections by the `ssh` program, for logins that paramiko cannot do; one a process and host.

One master connection logs in. Commands go through it by its control socket, in a folder that
only the user may enter.
"""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from kernelext.errors import ConnectError, HostKeyError, LinkError, LinkLost
from kernelext.hosts import resolve_chain
from kernelext.hosts.sshconfig import SshTarget
from kernelext.hosts.targets import Target, parse_target
from kernelext.link.pipe import ForwardingForbidden, Pipe
from kernelext.link.program import Program

LOGIN_TIMEOUT_S = 30.0  # a directory may be asked, or a token be touched
CONNECT_TIMEOUT_S = 10.0
SSH_FAILED = 255
DYING_S = 0.5
LONGEST_FOLDER_BYTES = 66  # ssh adds to the name of the socket while it makes it
READY = b"kernelext is in"

# Beside the master: what ends it when our end of the pipe is closed, or gone with us. A session
# of its own would not do: the master waits for all others, and a `docker run` lasts.
GUARDED = "exec 3<&0; (cat <&3; {end}; {sweep}) >/dev/null 2>&1 & exec {master} </dev/null 3<&-"

OPTIONS = {
    "BatchMode": "yes",
    "StrictHostKeyChecking": "yes",
    "NoHostAuthenticationForLocalhost": "no",
    "LogLevel": "ERROR",
    "ClearAllForwardings": "yes",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "RemoteCommand": "none",
    "RequestTTY": "no",
}
MASTER_OPTIONS = {
    "PermitLocalCommand": "yes",
    "LocalCommand": f"echo {READY.decode()}",
    "ControlMaster": "yes",
    "ControlPersist": "no",
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "2",
    "TCPKeepAlive": "yes",
}
# Without its master a client would log in anew, unasked.
CLIENT_OPTIONS = {"ControlMaster": "no", "ProxyCommand": "false", "PermitLocalCommand": "no"}

log = logging.getLogger(__name__)


class OpenSshConnection:
    """A `Shell` on a master connection of the `ssh` program.

    Attributes
    ----------
    host : str
        What the user calls it.
    """

    def __init__(self, host: str, program: str, target: Target, environ: Mapping[str, str]) -> None:
        self.host = host
        self._program = program
        self._target = target
        self._environ = {**environ, "SSH_ASKPASS_REQUIRE": "never"}
        self._folder = _make_folder()
        self._master: Program | None = None
        self._life = -1
        self._lock = threading.Lock()
        self._clients: list[Program] = []
        self._past_bytes = 0

    @classmethod
    def open(
        cls,
        host: str,
        target: str,
        environ: Mapping[str, str],
        *,
        timeout_s: float = CONNECT_TIMEOUT_S,
        login_timeout_s: float = LOGIN_TIMEOUT_S,
    ) -> OpenSshConnection:
        """Log in; the host's key, and that of each host on the way, have to be known.

        Parameters
        ----------
        host : str
            The name the user typed, for messages.
        target : str
            An alias of the SSH configuration or ``[user@]address[:port]``.
        environ : mapping
        timeout_s : float
            For TCP, where the configuration has no ``ConnectTimeout``.
        login_timeout_s : float
            For all of it.

        Raises
        ------
        ConnectError
            Nobody answers, the login is refused, or there is no `ssh` here.
        HostKeyError
        """
        if os.name == "nt":  # its ssh shares no connection
            raise ConnectError(
                f'{host} is reached by transport = "openssh", which this system\'s ssh cannot do: '
                "leave the transport out of kernelext.toml."
            )
        program = shutil.which("ssh", path=environ.get("PATH"))
        if program is None:
            raise ConnectError(
                f'{host} is reached by transport = "openssh", and there is no ssh here: install '
                "the OpenSSH client, or leave the transport out of kernelext.toml."
            )
        chain = resolve_chain(target, environ)
        _check_hops(host, chain[:-1])
        connection = cls(host, program, parse_target(target), environ)
        try:
            limit_s = min(chain[-1].connect_timeout_s or timeout_s, login_timeout_s)
            connection._log_in(chain[-1], limit_s, login_timeout_s)
        except BaseException:
            connection.close()
            raise
        log.debug("openssh.opened host=%s", host)
        return connection

    def open_socket(self, path: str, timeout_s: float) -> Pipe:
        """Say that sockets are reached by commands: `ssh` tells nobody whether one listens.

        Raises
        ------
        ForwardingForbidden
        """
        raise ForwardingForbidden(f"the ssh program forwards no socket at {path} to {self.host}")

    def execute(self, argv: Sequence[str], timeout_s: float) -> Program:
        """Start a command on the host, by the login's shell.

        Raises
        ------
        LinkLost
        """
        if not self.is_open():
            raise self._lost()
        words = self._words(CLIENT_OPTIONS, command=(shlex.join(argv),))
        client = Program(words, self._environ, self._ended)
        client.settimeout(timeout_s)
        with self._lock:
            gone = [each for each in self._clients if each.poll() is not None]
            self._past_bytes += sum(each.received_bytes for each in gone)
            self._clients = [each for each in self._clients if each not in gone] + [client]
        return client

    def is_open(self) -> bool:
        """Whether nothing has ended it, as far as is known here."""
        return self._master is not None and self._master.poll() is None

    def close(self) -> None:
        """End it and all commands; never waits for the far side."""
        with self._lock:
            clients, self._clients = self._clients, []
            if self._life >= 0:
                os.close(self._life)
                self._life = -1
        # The master first: it ends at once, and all that goes through it.
        for program in (self._master, *clients):
            if program is not None:
                program.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def received_bytes(self) -> int:
        """What has come so far."""
        with self._lock:
            return self._past_bytes + sum(client.received_bytes for client in self._clients)

    def _words(
        self, options: Mapping[str, str], flags: Sequence[str] = (), command: Sequence[str] = ()
    ) -> list[str]:
        control = str(Path(self._folder) / "c").replace("%", "%%")
        words = [self._program, "-T", "-S", control]
        for name, value in {**OPTIONS, **options}.items():
            words += ["-o", f"{name}={value}"]
        if self._target.port is not None:
            words += ["-p", str(self._target.port)]
        if self._target.user is not None:
            words += ["-l", self._target.user]
        return [*words, *flags, "--", self._target.host, *command]

    def _log_in(self, target: SshTarget, timeout_s: float, login_timeout_s: float) -> None:
        options = {**MASTER_OPTIONS, "ConnectTimeout": str(max(1, round(timeout_s)))}
        script = GUARDED.format(
            end=shlex.join(self._words(CLIENT_OPTIONS, ("-O", "exit"))),
            sweep=shlex.join(["rm", "-rf", "--", self._folder]),
            master=shlex.join(self._words(options, ("-N",))),
        )
        theirs, self._life = os.pipe()
        try:
            self._master = Program(["/bin/sh", "-c", script], self._environ, stdin=theirs)
        finally:
            os.close(theirs)
        self._master.settimeout(login_timeout_s)
        said = b""
        try:
            while READY not in said:
                data = self._master.recv(4096)
                if not data:
                    raise self._refusal(target)
                said = said[-len(READY) :] + data
        except TimeoutError as exc:
            raise ConnectError(
                f"`ssh {target.target}` to {self.host} is not through after {login_timeout_s:g} s: "
                f"see what `ssh -v {target.target}` says."
            ) from exc

    def _refusal(self, target: SshTarget) -> LinkError:
        assert self._master is not None
        self._master.wait(DYING_S)
        lines = [line.strip() for line in self._master.errors().splitlines()]
        told = [line.rstrip(".") for line in lines if line and set(line) != {"@"}]
        text = "; ".join(told[-2:]) or "it hangs up"
        if any("ost key" in line or "IDENTIFICATION HAS CHANGED" in line for line in told):
            enrol = f"`ssh {target.target}` in a terminal, which asks"
            if not target.proxy_command:
                enrol = f"`kernelext trust {self.host}`"
            return HostKeyError(
                f"The key of {self.host} is not the known one, ssh says ({text}): compare it with "
                f"the host's own, then run {enrol}."
            )
        if any("ermission denied" in line for line in told):
            return ConnectError(
                f"{self.host} refuses the login by ssh ({text}): kernelext answers no questions, "
                f"so have `ssh -o BatchMode=yes {target.target}` get in (ssh-add, kinit) first."
            )
        return ConnectError(
            f"`ssh {target.target}` does not get through to {self.host} ({text}): see what "
            f"`ssh -v {target.target}` says."
        )

    def _ended(self, client: Program) -> None:
        """Tell a command that ended from a connection that broke under it."""
        if client.wait(DYING_S) != SSH_FAILED or self._master is None:
            return
        if self._master.wait(DYING_S) is not None:
            raise self._lost()

    def _lost(self) -> LinkLost:
        return LinkLost(f"The connection to {self.host} broke.")


def _make_folder() -> str:
    """Make the folder of a control socket; a socket's path may have some 100 bytes only."""
    usual = tempfile.gettempdir()
    where = usual if len(os.fsencode(usual)) <= LONGEST_FOLDER_BYTES else "/tmp"  # noqa: S108
    try:
        return tempfile.mkdtemp(prefix="kernelext-", dir=where)
    except OSError as exc:
        raise ConnectError(
            f"{where} takes no folder for ssh's control socket ({exc.strerror}): name another "
            "one by TMPDIR."
        ) from exc


def _check_hops(host: str, hops: Sequence[SshTarget]) -> None:
    """Refuse what `ssh` would let pass: to the hosts on the way it hands no option of ours on."""
    for hop in hops:
        if not hop.is_strict:
            raise HostKeyError(
                f"{host} is reached through {hop.target}, whose key nobody checks: set "
                f"StrictHostKeyChecking yes for {hop.target} in ~/.ssh/config."
            )

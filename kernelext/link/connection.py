"""What a connection by SSH offers, whatever carries it: sockets and commands of the host."""

from __future__ import annotations

import contextlib
import logging
import re
import shlex
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from kernelext.errors import LinkError, LinkLost
from kernelext.link.channels import WINDOW_BYTES, SshPipe, SshProcess
from kernelext.link.pipe import ForwardingForbidden, SocketAbsent

BACKGROUND_TIMEOUT_S = 30.0
_PAUSES_S = (0.01, 0.05, 0.1, 0.0)  # sshd counts a session a moment longer than its command lives
_SOCKETS = 'printf "kernelext:%s:%s\\n" "$SSH_AUTH_SOCK" "$(test -S "$0" && echo there)"; cat'

log = logging.getLogger(__name__)


class Refused(Exception):
    """The far side did not open a channel."""

    def __init__(self, *, is_prohibited: bool) -> None:
        super().__init__("prohibited" if is_prohibited else "failed")
        self.is_prohibited = is_prohibited


class Connection(ABC):
    """An authenticated connection to a host with many channels; for use from many threads.

    Where a timeout is asked for, it bounds the wait for an answer. Where the connection as a
    whole takes nothing more, it breaks after `tcp.STALL_S`: `LinkLost` for all who wait.

    Attributes
    ----------
    host : str
        What the user calls it.
    address : str
        ``user@hostname``, for people.
    """

    _BROKEN: ClassVar[tuple[type[Exception], ...]] = (OSError, EOFError)

    def __init__(self, host: str, address: str) -> None:
        self.host = host
        self.address = address
        self._may_forward: bool | None = None  # not tried yet
        self._hurrying: threading.Thread | None = None

    @abstractmethod
    def is_open(self) -> bool:
        """Whether nothing has ended it, as far as is known here."""

    @abstractmethod
    def close(self) -> None:
        """End it and the connections it goes through; never waits for the far side."""

    @abstractmethod
    def raise_if_lost(self) -> None:
        """Raise `LinkLost` if the connection has ended."""

    @abstractmethod
    def _open_session(self, timeout_s: float) -> Any:
        """Open a channel for a command, or raise `Refused`."""

    @abstractmethod
    def _open_socket(self, path: str, timeout_s: float, window_bytes: int) -> Any:
        """Open a channel to a socket, or raise `Refused`."""

    def open_socket(
        self, path: str, timeout_s: float, *, window_bytes: int = WINDOW_BYTES
    ) -> SshPipe:
        """Connect to a Unix socket of the host.

        Parameters
        ----------
        path : str
        timeout_s : float
            For the connection; the pipe has none until `settimeout`.
        window_bytes : int
            What the far side may send ahead of the reader: more is faster over long
            distances, and delays what other channels bring meanwhile.

        Raises
        ------
        SocketAbsent
        ForwardingForbidden
        TimeoutError, LinkLost
        """
        try:
            channel = self._open_socket(path, timeout_s, window_bytes)
        except Refused as exc:
            # sshd says one thing where it may not and where nobody listens.
            if exc.is_prohibited or not self._try_forwarding(path, timeout_s):
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
        return self._execute(self._session(timeout_s), argv, timeout_s)

    def lost(self) -> LinkLost:
        """Make the error of a connection that broke."""
        return LinkLost(f"The connection to {self.host} ({self.address}) broke.")

    @contextlib.contextmanager
    def guard(self) -> Iterator[None]:
        """Turn foreign errors into `LinkLost`; let `TimeoutError` pass."""
        try:
            yield
        except TimeoutError:
            raise
        except self._BROKEN as exc:
            raise self.lost() from exc

    def _late(self, timeout_s: float) -> TimeoutError:
        return TimeoutError(f"{self.host} has not answered within {timeout_s:g} s.")

    def _session(self, timeout_s: float) -> Any:
        for pause_s in _PAUSES_S:
            with contextlib.suppress(Refused):
                return self._open_session(timeout_s)
            if self._hurrying and self._hurrying is not threading.current_thread():
                self._hurrying.join(timeout_s)  # it may have the only session there is
            time.sleep(pause_s)
        raise LinkError(
            f"{self.host} grants no further session: end another one, or raise MaxSessions in "
            "its sshd_config."
        )

    def _execute(self, channel: Any, argv: Sequence[str], timeout_s: float) -> SshProcess:
        late = threading.Timer(timeout_s, channel.close)  # exec_command waits for ever
        late.daemon = True
        late.start()
        try:
            channel.exec_command(shlex.join(argv))
        except self._BROKEN as exc:
            self.raise_if_lost()
            if late.finished.is_set():
                raise self._late(timeout_s) from exc
            raise LinkError(f"{self.host} runs no commands for {self.address}.") from exc
        finally:
            late.cancel()
        channel.settimeout(timeout_s)
        return SshProcess(self, channel)

    def _hurry(self) -> None:
        """Make sshd send at once: it switches Nagle's delay off when a first command starts.

        Until then a small message waits for the acknowledgement of the one before.
        """

        def run() -> None:
            with contextlib.suppress(LinkError, TimeoutError):
                self.execute(["true"], BACKGROUND_TIMEOUT_S).communicate()

        self._hurrying = threading.Thread(target=run, name=f"ssh {self.host}", daemon=True)
        self._hurrying.start()

    def _try_forwarding(self, path: str, timeout_s: float) -> bool:
        """Ask for a socket at which sshd itself listens: that of an agent, which is not there."""
        if self._may_forward is not None:
            return self._may_forward
        channel = self._session(timeout_s)
        channel.request_forward_agent(lambda agent: agent.close())
        process = self._execute(channel, ["sh", "-c", _SOCKETS, path], timeout_s)
        said, found = b"", None
        try:
            while found is None and (data := process.recv(WINDOW_BYTES)):
                said += data
                found = re.search(rb"kernelext:(.*):(.*)\n", said)
            if found is None:
                return True
            if not found[1]:  # no agents are forwarded either: whether it is there decides
                return not found[2]
            self._open_socket(found[1].decode(), timeout_s, WINDOW_BYTES).close()
            self._may_forward = True
        except Refused:
            self._may_forward = False
        finally:
            process.close()
        return self._may_forward

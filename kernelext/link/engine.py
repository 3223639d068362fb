"""A Docker engine reached by its context: calls of its API and streams; starts nothing itself."""

from __future__ import annotations

import base64
import http.client
import ipaddress
import json
import re
import socket
import ssl
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from kernelext.daemon.docker_api import DockerAPI, DockerError, UnixHTTPConnection
from kernelext.errors import ConnectError, EngineError, HostError, KernelExtError, OptionError
from kernelext.hosts import DockerContext
from kernelext.link.stream import EngineStream

CONNECT_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 60.0
PROGRESS_TIMEOUT_S = 300.0
TCP_PORT = 2375
TLS_PORT = 2376


class ContextEngine(DockerAPI):
    """The engine that a Docker context names.

    Parameters
    ----------
    host : str
        The name the user typed, for messages.
    context : DockerContext
    timeout_s : float
        For a connection to its endpoint.
    answer_timeout_s : float
        For the answer to a call.

    Raises
    ------
    OptionError
        When the endpoint is none that could be used.
    """

    def __init__(
        self,
        host: str,
        context: DockerContext,
        timeout_s: float = CONNECT_TIMEOUT_S,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> None:
        self._host = host
        self._context = context
        self._connect_timeout_s = timeout_s
        self._answer_timeout_s = answer_timeout_s
        self._url = _checked(host, context)
        super().__init__(self._url.path)

    @property
    def is_unix(self) -> bool:
        """Whether the endpoint is a socket of this machine."""
        return self._url.scheme == "unix"

    def modified_ns(self, container: str, path: str) -> int:
        """Return when a file of a container was changed, in nanoseconds since 1970.

        Raises
        ------
        DockerError
            Also where there is no such file.
        """
        url = f"/containers/{container}/archive"
        with self._request("HEAD", url, None, {"path": path}, self._connect_timeout_s) as response:
            head = response.getheader("X-Docker-Container-Path-Stat") or ""
        return _nanoseconds(str(json.loads(base64.b64decode(head))["mtime"]))

    def stream(self, path: str, body: Any, timeout_s: float) -> EngineStream:
        """Make a call whose connection becomes a container's standard streams.

        Raises
        ------
        DockerError
            The engine refused.
        EngineError, ConnectError
            Nobody answers at the endpoint.
        """
        version = str(self.call("GET", "/version")["ApiVersion"])
        connection = self._connection(timeout_s)
        head = {"Content-Type": "application/json", "Connection": "Upgrade", "Upgrade": "tcp"}
        try:
            url = f"/v{version}{quote(path, safe='/?=&')}"
            # A body where none is due would be the beginning of the container's input.
            connection.request("POST", url, None if body is None else json.dumps(body), head)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as exc:
            connection.close()
            raise self._broken_off(exc) from exc
        if response.status != http.HTTPStatus.SWITCHING_PROTOCOLS:
            text = response.read().decode("utf-8", "replace")
            connection.close()
            raise DockerError(response.status, text.strip()[:500])
        return EngineStream(connection, response)

    def _request(
        self,
        method: str,
        path: str,
        body: Any,
        query: dict[str, Any],
        timeout_s: float | None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        # What says something all the time, an image on its way, may be silent for longer.
        limit_s = PROGRESS_TIMEOUT_S if timeout_s is None else self._answer_timeout_s
        return super()._request(method, path, body, query, limit_s, headers)

    def _connection(self, timeout_s: float | None) -> http.client.HTTPConnection:
        """Connect, where the base class leaves it to the first request: the error is known here."""
        connection = self._unconnected()
        try:
            connection.connect()
        except OSError as exc:
            connection.close()
            raise self._unreachable(exc) from exc
        connection.sock.settimeout(timeout_s)
        return connection

    def _unconnected(self) -> http.client.HTTPConnection:
        if self.is_unix:
            return UnixHTTPConnection(self._url.path, self._connect_timeout_s)
        name, timeout_s = str(self._url.hostname), self._connect_timeout_s
        if self._context.tls_dir is None:
            return http.client.HTTPConnection(name, self._url.port or TCP_PORT, timeout=timeout_s)
        return http.client.HTTPSConnection(
            name, self._url.port or TLS_PORT, timeout=timeout_s, context=self._tls()
        )

    def _tls(self) -> ssl.SSLContext:
        folder = self._context.tls_dir
        assert folder is not None
        try:
            authority = folder / "ca.pem"
            settings = ssl.create_default_context(cafile=authority if authority.exists() else None)
            if (folder / "cert.pem").exists():
                settings.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        except OSError as exc:  # also what is wrong with a certificate
            raise EngineError(
                f"the certificates of the Docker context {self._context.name} in {folder} cannot "
                f"be read ({exc}): make the context anew (docker context create)"
            ) from exc
        return settings

    def _unreachable(self, exc: OSError) -> KernelExtError:
        host, endpoint = self._host, self._context.endpoint
        if isinstance(exc, ssl.SSLCertVerificationError):
            return ConnectError(
                f"The engine of {host} ({endpoint}) does not prove that it is the one meant "
                f"({exc.verify_message}): compare its certificate with ca.pem of the context."
            )
        if isinstance(exc, ssl.SSLError):
            return ConnectError(
                f"{host} ({endpoint}) answers, but not by TLS ({exc.reason}): check the port."
            )
        if isinstance(exc, socket.gaierror):
            return ConnectError(
                f"No address is known for {self._url.hostname}: check the endpoint of the Docker "
                f"context {self._context.name}."
            )
        return self._unix_problem(exc) if self.is_unix else self._tcp_problem(exc)

    def _broken_off(self, exc: Exception) -> KernelExtError:
        folder = self._context.tls_dir
        hint = f"see what `docker --context {self._context.name} info` says"
        if folder is not None and not (folder / "cert.pem").exists():
            hint = "it may want a certificate: give the context its cert.pem and key.pem"
        return ConnectError(
            f"The Docker engine of {self._host} ({self._context.endpoint}) breaks off ({exc}): "
            f"{hint}."
        )

    def _unix_problem(self, exc: OSError) -> HostError:
        host, path = self._host, self._url.path
        if isinstance(exc, PermissionError):
            return EngineError(
                f"you may not use the Docker socket {path} of {host}:"
                " add your user to the group docker and log in anew"
            )
        if isinstance(exc, FileNotFoundError):
            return EngineError(
                f"the Docker engine of {host} is not there, it has no socket {path}:"
                " install or start it (systemctl start docker), or run the cell on `local`"
            )
        return EngineError(
            f"the Docker engine of {host} does not answer at {path} ({exc.strerror or exc}):"
            " start it (systemctl start docker)"
        )

    def _tcp_problem(self, exc: OSError) -> ConnectError:
        reason = "silence" if isinstance(exc, TimeoutError) else exc.strerror or str(exc)
        return ConnectError(
            f"The Docker engine of {self._host} does not answer at {self._context.endpoint} "
            f"({reason}): check that it is up and listens there."
        )


def _checked(host: str, context: DockerContext) -> SplitResult:
    named = f"the Docker context {context.name} of {host}"
    try:
        url = urlsplit(context.endpoint)
        _ = url.port
    except ValueError as exc:
        raise OptionError(f"{named} has no endpoint that could be, {context.endpoint}.") from exc
    if url.scheme == "unix" and url.path:
        return url
    if url.scheme != "tcp" or not url.hostname:
        raise OptionError(
            f"{named} leads to {context.endpoint}: kernelext reaches engines by unix://, tcp:// "
            "and ssh://."
        )
    if not context.is_verified:
        raise OptionError(
            f"{named} leaves the engine's certificate unverified, so anybody could be at "
            f"{context.endpoint}: give the context its ca.pem and leave out skip-tls-verify."
        )
    if context.tls_dir is None and not _is_this_machine(url.hostname):
        raise OptionError(
            f"{named} would send everything unencrypted to {context.endpoint}: give it "
            "certificates, or an endpoint ssh://."
        )
    return url


def _nanoseconds(text: str) -> int:
    """Read a time as Go writes it.

    Examples
    --------
    >>> _nanoseconds("1970-01-01T00:00:01.5Z"), _nanoseconds("1970-01-01T01:00:02+01:00")
    (1500000000, 2000000000)
    """
    found = re.fullmatch(r"(.{19})(?:\.(\d+))?(.+)", text)
    if found is None:
        return 0
    seconds = int(datetime.fromisoformat(found[1] + found[3]).timestamp())
    return seconds * 10**9 + int((found[2] or "").ljust(9, "0"))


def _is_this_machine(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"

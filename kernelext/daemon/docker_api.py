"""Calls of the Docker Engine API over its Unix socket (docs: "Docker Engine API v1.41")."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from kernelext.errors import DiskFull, EngineError, HostError, KernelExtError

TIMEOUT_S = 120.0
FULL_WORDS = "no space left on device"
PIECE_BYTES = 1024 * 1024


class UnixHTTPConnection(http.client.HTTPConnection):
    """HTTP to a Unix socket."""

    def __init__(self, path: str, timeout_s: float | None) -> None:
        super().__init__("docker", timeout=timeout_s)
        self._path = path
        self._timeout_s = timeout_s

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._timeout_s)
        self.sock.connect(self._path)


class DockerError(EngineError):
    """The engine's refusal, with its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def engine_problem(problem: str, kind: type[EngineError] = EngineError) -> HostError:
    """Return the error of what an engine says, which may be that the disk is full."""
    if FULL_WORDS in problem.lower():
        return DiskFull(f"the image does not fit on the host's disk ({problem})")
    return kind(problem)


class DockerAPI:
    """One engine.

    Parameters
    ----------
    path : str
        Of its socket.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._version = ""

    def call(self, method: str, path: str, body: Any = None, /, **query: Any) -> Any:
        """Make one call.

        Returns
        -------
        object
            The answer's JSON, or its bytes where it is none; None for an empty answer.

        Raises
        ------
        DockerError
            The engine refused.
        EngineError
            Nobody answers at the socket.
        """
        with self._request(method, path, body, query, TIMEOUT_S) as response:
            try:
                data: bytes = response.read()
            except (OSError, http.client.HTTPException) as exc:
                raise EngineError(f"the Docker engine broke off its answer ({exc})") from exc
            if not data:
                return None
            if "json" in (response.getheader("Content-Type") or ""):
                return json.loads(data)
            return data

    def lines(self, method: str, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Make a call whose answer is one JSON object after the other, without end."""
        for line in self.texts(method, path, **query):
            yield json.loads(line)

    def texts(self, method: str, path: str, **query: Any) -> Iterator[str]:
        """Make a call whose answer is lines of text, without end; yield those that say something.

        Of a container's log such is the answer only where it has a terminal.
        """
        with self._request(method, path, None, query, None) as response:
            yield from _texts(response)

    def download(self, path: str) -> Iterator[bytes]:
        """Make a call whose answer is many bytes; yield them."""
        with self._request("GET", path, None, {}, None) as response:
            while True:
                try:
                    data = response.read(PIECE_BYTES)
                except (OSError, http.client.HTTPException) as exc:
                    raise EngineError(f"the Docker engine broke off its answer ({exc})") from exc
                if not data:
                    return
                yield data

    def upload(
        self, path: str, size_bytes: int | None, data: Iterator[bytes], **query: Any
    ) -> Iterator[dict[str, Any]]:
        """Send a tar, whose size need not be known, and yield what the engine says of it.

        Raises
        ------
        DockerError
            The engine refused.
        EngineError
            It does not answer.
        """
        headers = {"Content-Type": "application/x-tar"}
        if size_bytes is not None:
            headers["Content-Length"] = str(size_bytes)
        with self._request("POST", path, data, query, None, headers) as response:
            for line in _texts(response):
                yield json.loads(line)

    def put_files(self, container: str, tar: Path) -> None:
        """Unpack a tar in a container's root folder.

        Raises
        ------
        DockerError
            The engine refused.
        """
        headers = {"Content-Type": "application/x-tar", "Content-Length": str(tar.stat().st_size)}
        url = f"/containers/{container}/archive"
        with tar.open("rb") as data:
            answer = self._request("PUT", url, data, {"path": "/"}, None, headers)
            with answer as response:
                response.read()

    def pull(self, image: str, auth: str = "") -> str:
        """Have the engine pull an image, with a login to its registry; why it cannot."""
        has_tag = ":" in image.rpartition("/")[2] or "@" in image
        query = {"fromImage": image, "tag": None if has_tag else "latest"}
        login = {"X-Registry-Auth": auth} if auth else {}
        problem = ""
        try:
            with self._request("POST", "/images/create", None, query, None, login) as response:
                for line in _texts(response):
                    problem = str(json.loads(line).get("error", problem))
        except DockerError as exc:
            problem = str(exc) or "no word from it"
        return problem

    def _connection(self, timeout_s: float | None) -> http.client.HTTPConnection:
        return UnixHTTPConnection(self._path, timeout_s)

    def _broken_off(self, exc: Exception) -> KernelExtError:
        return EngineError(f"the Docker engine does not answer ({exc}); is it running?")

    def _request(
        self,
        method: str,
        path: str,
        body: Any,
        query: dict[str, Any],
        timeout_s: float | None,
        headers: Mapping[str, str] | None = None,
    ) -> _Response:
        if not self._version and path != "/version":
            self._version = "/v" + str(self.call("GET", "/version")["ApiVersion"])
        connection = self._connection(timeout_s)
        known = {key: value for key, value in query.items() if value is not None}
        url = (self._version if path != "/version" else "") + quote(path)
        if known:
            url += "?" + urlencode(known)
        if headers is None:
            headers = {"Content-Type": "application/json"}
            body = None if body is None else json.dumps(body)
        try:
            connection.request(method, url, body, headers)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as exc:
            connection.close()
            raise self._broken_off(exc) from exc
        if response.status >= 400:
            text = response.read().decode("utf-8", "replace")
            connection.close()
            raise DockerError(response.status, _message(text))
        return _Response(connection, response)


class _Response:
    """An answer whose connection is closed with it."""

    def __init__(
        self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse
    ) -> None:
        self._connection = connection
        self._response = response

    def __enter__(self) -> http.client.HTTPResponse:
        return self._response

    def __exit__(self, *_: object) -> None:
        self._response.close()
        self._connection.close()


def _texts(response: http.client.HTTPResponse) -> Iterator[str]:
    while True:
        try:
            line = response.readline()
        except (OSError, http.client.HTTPException) as exc:
            raise EngineError(f"the Docker engine broke off its answer ({exc})") from exc
        if not line:
            return
        if line.strip():
            yield line.decode("utf-8", "replace").strip()


def _message(text: str) -> str:
    try:
        return str(json.loads(text)["message"]).strip()
    except (ValueError, KeyError, TypeError):
        return text.strip()[:500]


def plain_log(data: bytes) -> tuple[str, str]:
    """Split a container's log stream (8-byte frame heads) into stdout and stderr."""
    streams = {1: bytearray(), 2: bytearray()}
    while len(data) >= 8:
        size = int.from_bytes(data[4:8], "big")
        streams.setdefault(data[0], bytearray()).extend(data[8 : 8 + size])
        data = data[8 + size :]
    return streams[1].decode("utf-8", "replace"), streams[2].decode("utf-8", "replace")

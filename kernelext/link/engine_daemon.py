"""The daemon on a Docker engine reached by its context: one container, started by the API."""

from __future__ import annotations

import contextlib
import json
import posixpath
import time
from functools import partial
from pathlib import Path
from typing import Any

from kernelext.daemon.docker_api import DockerError
from kernelext.errors import ConnectError, EngineError, HostError
from kernelext.hosts.config import HostConfig
from kernelext.link.archive import Archive
from kernelext.link.container import (
    CONNECT_TIMEOUT_S,
    DAEMON_LABEL,
    LOG_LIMIT,
    READY_TIMEOUT_S,
    START_TIMEOUT_S,
    START_TRIES,
    begins_to_run,
    container_name,
    daemon_words,
    hand_over,
    mounts,
    no_image,
    no_python,
    relay_words,
)
from kernelext.link.engine import ContextEngine
from kernelext.link.local import connect_local
from kernelext.link.pipe import Pipe, SocketAbsent

STREAMS = {"AttachStdin": True, "AttachStdout": True, "AttachStderr": True, "Tty": False}


def connect_on_engine(engine: ContextEngine, host: HostConfig) -> Pipe:
    """Connect to the engine's daemon: at its socket where that is ours too, else by a relay.

    Raises
    ------
    SocketAbsent
        When none listens.
    """
    wanted = {"label": [DAEMON_LABEL], "status": ["running"]}
    for found in engine.call("GET", "/containers/json", filters=json.dumps(wanted)):
        sources = {mount.get("Source") for mount in found.get("Mounts", ())}
        if posixpath.normpath(host.state_dir) in sources:
            with contextlib.suppress(SocketAbsent):
                return _connect(engine, host, found)
    raise SocketAbsent(f"no daemon runs on {host.name}")


def _connect(engine: ContextEngine, host: HostConfig, container: Any) -> Pipe:
    if engine.is_unix and _shares_socket(engine, host, container["Id"]):
        with contextlib.suppress(SocketAbsent):  # or it may not be used by us
            return connect_local(Path(host.state_dir))
    words = relay_words(host, container["Labels"][DAEMON_LABEL])
    try:
        path = f"/containers/{container['Id']}/exec"
        made = engine.call("POST", path, {**STREAMS, "Cmd": words})
        started = {"Detach": False, "Tty": False}
        stream = engine.stream(f"/exec/{made['Id']}/start", started, CONNECT_TIMEOUT_S)
    except DockerError as exc:  # it has ended meanwhile
        raise SocketAbsent(f"no daemon runs on {host.name}") from exc
    try:
        greeting = stream.recv(1)  # the relay sends one byte when it is through
    except BaseException:
        stream.close()
        raise
    if greeting != b"\n":
        stream.close()
        raise SocketAbsent(f"no daemon runs on {host.name}")
    return stream


def _shares_socket(engine: ContextEngine, host: HostConfig, container: str) -> bool:
    """Whether the daemon's socket lies at the same path here: made in the same nanosecond.

    Behind a socket of this machine may be the engine of a virtual machine, or of another one.
    """
    path = f"{host.state_dir}/daemon.sock"
    try:
        here_ns = Path(path).stat().st_mtime_ns
        return engine.modified_ns(container, path) == here_ns
    except (OSError, DockerError, KeyError, ValueError):
        return False


def start_on_engine(engine: ContextEngine, host: HostConfig, archive: Archive) -> None:
    """Start the daemon's container and return when it has its code.

    Raises
    ------
    EngineError, ImageNotFound, ConnectError
    """
    name = container_name(host, archive)
    for _ in range(START_TRIES):
        try:
            _create(engine, host, archive)
        except DockerError as exc:
            if exc.status != 409:
                raise _explain(host, str(exc)) from exc
        else:
            _begin(engine, host, archive)
            return
        # Another client is starting it at this moment, or it is what is left of an old one.
        if begins_to_run(partial(_is_running, engine, name)):
            return
        _remove(engine, name)
    raise EngineError(f"a container {name} that does not start is on {host.name}: remove it there")


def _create(engine: ContextEngine, host: HostConfig, archive: Archive) -> None:
    config = _config(host, archive)
    name = container_name(host, archive)
    try:
        engine.call("POST", "/containers/create", config, name=name)
    except DockerError as exc:
        if exc.status != 404:
            raise
        if engine.pull(host.daemon_image):
            raise no_image(host) from exc
        engine.call("POST", "/containers/create", config, name=name)


def _config(host: HostConfig, archive: Archive) -> dict[str, Any]:
    return {
        **STREAMS,
        "OpenStdin": True,
        "StdinOnce": True,
        "Image": host.daemon_image,
        "Cmd": daemon_words(host, archive),
        "Labels": {DAEMON_LABEL: archive.digest},
        "HostConfig": {
            "Binds": mounts(host),
            "RestartPolicy": {"Name": "on-failure"},
            "NetworkMode": "none",
            "ReadonlyRootfs": True,
            "SecurityOpt": ["no-new-privileges"],
            "LogConfig": {"Type": "json-file", "Config": {"max-size": LOG_LIMIT}},
        },
    }


def _begin(engine: ContextEngine, host: HostConfig, archive: Archive) -> None:
    """Start the container and hand it the code; remove it if that fails."""
    name = container_name(host, archive)
    try:
        path = f"/containers/{name}/attach?stream=1&stdin=1&stdout=1&stderr=1"
        with contextlib.closing(engine.stream(path, None, START_TIMEOUT_S)) as stream:
            engine.call("POST", f"/containers/{name}/start")
            if not hand_over(stream, archive):
                raise _explain(host, stream.errors.decode("utf-8", "replace").strip())
    except DockerError as exc:
        _remove(engine, name)
        raise _explain(host, str(exc)) from exc
    except BaseException:
        _remove(engine, name)
        raise


def wait_on_engine(engine: ContextEngine, host: HostConfig, archive: Archive) -> Pipe:
    """Connect to a daemon that is starting.

    Raises
    ------
    ConnectError
        When it does not listen in time.
    """
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    while True:
        try:
            return connect_on_engine(engine, host)
        except SocketAbsent as exc:
            if time.monotonic() > deadline_s:
                name = container_name(host, archive)
                raise ConnectError(
                    f"the daemon on {host.name} does not start; look at `docker logs {name}` there"
                ) from exc
            time.sleep(0.02)


def _is_running(engine: ContextEngine, name: str) -> bool:
    try:
        return bool(engine.call("GET", f"/containers/{name}/json")["State"]["Running"])
    except DockerError:
        return False


def _remove(engine: ContextEngine, name: str) -> None:
    with contextlib.suppress(DockerError, EngineError, ConnectError):
        engine.call("DELETE", f"/containers/{name}", force=1)


def _explain(host: HostConfig, text: str) -> HostError:
    if "executable file not found" in text:
        return no_python(host)
    if "mounts denied" in text or "error while creating mount source path" in text:
        return EngineError(
            f"the Docker engine of {host.name} may not use {host.state_dir}; set state_dir of"
            f" [hosts.{host.name}] to a folder of its machine that it may"
        )
    last = text.splitlines()[-1] if text else "no word from it"
    return EngineError(f"Docker on {host.name} does not start the daemon: {last}")

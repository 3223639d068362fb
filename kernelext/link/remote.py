"""The daemon of an SSH host: one container, started by the host's `docker` command."""

from __future__ import annotations

import time
from functools import partial

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
from kernelext.link.pipe import ForwardingForbidden, Pipe, Shell, SocketAbsent


def connect_remote(connection: Shell, host: HostConfig, archive: Archive) -> Pipe:
    """Connect to the host's daemon: by socket forwarding, else by `docker exec`.

    Raises
    ------
    SocketAbsent
        When none listens.
    """
    try:
        return connection.open_socket(f"{host.state_dir}/daemon.sock", CONNECT_TIMEOUT_S)
    except ForwardingForbidden:
        return _connect_by_exec(connection, host, archive)


def _connect_by_exec(connection: Shell, host: HostConfig, archive: Archive) -> Pipe:
    name = container_name(host, archive)
    argv = ["docker", "exec", "-i", name, *relay_words(host, archive.digest)]
    process = connection.execute(argv, CONNECT_TIMEOUT_S)
    process.settimeout(CONNECT_TIMEOUT_S)
    greeting = process.recv(1)  # the relay sends one byte when it is through
    if greeting != b"\n":
        _, _, complaint = process.communicate()
        why = complaint.decode("utf-8", "replace").strip() or "its relay says nothing"
        raise SocketAbsent(f"no daemon runs on {host.name} ({why})")
    return process


def start_remote(connection: Shell, host: HostConfig, archive: Archive) -> None:
    """Start the daemon's container and return when it has its code.

    Raises
    ------
    EngineError, ImageNotFound, ConnectError
    """
    name = container_name(host, archive)
    for _ in range(START_TRIES):
        status, text = _run_daemon(connection, host, archive)
        if status == 0:
            return
        if "is already in use by container" not in text:
            _docker(connection, "rm", "--force", name)  # it may exist, although it did not start
            break
        # Another client is starting it at this moment, or it is what is left of an old one.
        if begins_to_run(partial(_is_running, connection, name)):
            return
        _docker(connection, "rm", name)
    raise explain_docker(host, status, text)


def _run_daemon(connection: Shell, host: HostConfig, archive: Archive) -> tuple[int, str]:
    """Run the container and hand it the code; Docker's exit status and complaint."""
    argv = _run_argv(container_name(host, archive), host, archive)
    process = connection.execute(argv, START_TIMEOUT_S)
    process.settimeout(START_TIMEOUT_S)
    if hand_over(process, archive):
        process.close()
        return 0, ""
    status, _, complaint = process.communicate()
    return status or 1, complaint.decode("utf-8", "replace").strip()


def _is_running(connection: Shell, name: str) -> bool:
    _, said = _docker(connection, "container", "inspect", "-f", "{{.State.Running}}", name)
    return said == "true"


def _docker(connection: Shell, *words: str) -> tuple[int, str]:
    """Run the host's `docker`; its exit status and what it said last."""
    process = connection.execute(["docker", *words], CONNECT_TIMEOUT_S)
    status, said, complaint = process.communicate()
    return status, (complaint or said).decode("utf-8", "replace").strip()


def wait_remote(connection: Shell, host: HostConfig, archive: Archive) -> Pipe:
    """Connect to a daemon that is starting.

    Raises
    ------
    ConnectError
        When it does not listen in time; the message holds its last words.
    """
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    while True:
        try:
            return connect_remote(connection, host, archive)
        except SocketAbsent as exc:
            if time.monotonic() < deadline_s:
                time.sleep(0.02)
                continue
            name = container_name(host, archive)
            _, last = _docker(connection, "logs", "--tail", "1", name)
            raise ConnectError(
                f"the daemon on {host.name} does not start: {exc}; its last word:"
                f" {last or 'none'}; look at `docker logs {name}` there"
            ) from exc


def _run_argv(name: str, host: HostConfig, archive: Archive) -> list[str]:
    argv = ["docker", "run", "-i", "--name", name, "--label", f"{DAEMON_LABEL}={archive.digest}"]
    argv += ["--restart", "on-failure", "--network", "none", "--read-only"]
    argv += ["--security-opt", "no-new-privileges", "--log-driver", "json-file"]
    argv += ["--log-opt", f"max-size={LOG_LIMIT}"]
    for mount in mounts(host):
        argv += ["-v", mount]
    return [*argv, host.daemon_image, *daemon_words(host, archive)]


def explain_docker(host: HostConfig, status: int, text: str) -> HostError | ConnectError:
    """Make the error that says why the host's `docker` failed, and what to do."""
    last = text.splitlines()[-1] if text else f"exit {status}"
    if "executable file not found" in text:
        return no_python(host)
    if status == 127 or ("not found" in last and "docker" in last):
        return EngineError(
            f"{host.name} has no Docker; install it there (on Debian: apt-get install docker.io)"
        )
    if "permission denied" in text.lower():
        return EngineError(
            f"the login on {host.name} may not use Docker there;"
            " add its user to the group docker and log in anew"
        )
    if "Cannot connect to the Docker daemon" in text:
        return EngineError(
            f"the Docker engine on {host.name} does not answer; start it there"
            " (systemctl start docker)"
        )
    if "Unable to find image" in text or "pull access denied" in text:
        return no_image(host)
    return EngineError(f"Docker on {host.name} does not start the daemon: {last}")

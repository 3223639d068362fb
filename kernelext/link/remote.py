"""The daemon of an SSH host: one container, started by the host's `docker` command."""

from __future__ import annotations

import hashlib
import time

from kernelext.errors import ConnectError, EngineError, HostError, ImageNotFound
from kernelext.link.archive import Archive
from kernelext.link.pipe import ForwardingForbidden, Pipe, SocketAbsent
from kernelext.link.ssh import SshConnection, SshProcess
from kernelext.models import HostConfig

START_TIMEOUT_S = 300.0  # the daemon's image may have to be pulled
READY_TIMEOUT_S = 20.0
CONNECT_TIMEOUT_S = 15.0
BEGIN_TIMEOUT_S = 1.0  # from the creation of a container to its start, by another client
START_TRIES = 2
SECRETS_DIR = "/run/kernelext"
DOCKER_SOCKET = "/var/run/docker.sock"

# Keeps the zip, if it is not there yet, and becomes the daemon; a restart finds it there.
BOOT = """\
import hashlib, os, sys
state, digest, size = sys.argv[1:4]
path = f"{state}/code/{digest}.zip"
os.makedirs(os.path.dirname(path), exist_ok=True)
if not os.path.exists(path):
    print("send", flush=True)
    data = sys.stdin.buffer.read(int(size))
    if hashlib.sha256(data).hexdigest() != digest:
        sys.exit("the code did not arrive whole")
    with open(path + ".new", "wb") as out:
        out.write(data)
    os.replace(path + ".new", path)
print("ready", flush=True)
os.execv(sys.executable, [sys.executable, "-I", "-S", path, "daemon", *sys.argv[4:]])
"""


def container_name(host: HostConfig, archive: Archive) -> str:
    """Name the daemon's container: one a state directory and version of our code."""
    name = f"kernelext-daemon-{archive.digest[:12]}"
    if host.state_dir != HostConfig.state_dir:
        name += f"-{hashlib.sha256(host.state_dir.encode()).hexdigest()[:8]}"
    return name


def connect_remote(connection: SshConnection, host: HostConfig, archive: Archive) -> Pipe:
    """Connect to the host's daemon: by socket forwarding, else by `docker exec`.

    Raises
    ------
    SocketAbsent
        When none listens.
    """
    path = f"{host.state_dir}/daemon.sock"
    try:
        return connection.open_socket(path, CONNECT_TIMEOUT_S)
    except ForwardingForbidden:
        return _connect_by_exec(connection, host, archive, path)


def _connect_by_exec(
    connection: SshConnection, host: HostConfig, archive: Archive, path: str
) -> Pipe:
    name = container_name(host, archive)
    argv = ["docker", "exec", "-i", name, "python3", "-I", "-S"]
    argv += [f"{host.state_dir}/code/{archive.digest}.zip", "connect", path]
    process = connection.execute(argv, CONNECT_TIMEOUT_S)
    process.settimeout(CONNECT_TIMEOUT_S)
    greeting = process.recv(1)  # the relay sends one byte when it is through
    if greeting != b"\n":
        process.close()
        raise SocketAbsent(f"no daemon runs on {host.name}")
    return process


def start_remote(connection: SshConnection, host: HostConfig, archive: Archive) -> None:
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
        if _begins_to_run(connection, name):
            return
        _docker(connection, "rm", name)
    raise explain_docker(host, status, text)


def _run_daemon(connection: SshConnection, host: HostConfig, archive: Archive) -> tuple[int, str]:
    """Run the container and hand it the code; Docker's exit status and complaint."""
    argv = _run_argv(container_name(host, archive), host, archive)
    process = connection.execute(argv, START_TIMEOUT_S)
    process.settimeout(START_TIMEOUT_S)
    word = _line(process)
    if word == "send":
        process.sendall(archive.data)
        word = _line(process)
    if word == "ready":
        process.close()
        return 0, ""
    status, _, complaint = process.communicate()
    return status or 1, complaint.decode("utf-8", "replace").strip()


def _begins_to_run(connection: SshConnection, name: str) -> bool:
    deadline_s = time.monotonic() + BEGIN_TIMEOUT_S
    while True:
        _, said = _docker(connection, "container", "inspect", "-f", "{{.State.Running}}", name)
        if said == "true":
            return True
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.1)


def _docker(connection: SshConnection, *words: str) -> tuple[int, str]:
    """Run the host's `docker`; its exit status and what it said last."""
    process = connection.execute(["docker", *words], CONNECT_TIMEOUT_S)
    status, said, complaint = process.communicate()
    return status, (complaint or said).decode("utf-8", "replace").strip()


def wait_remote(connection: SshConnection, host: HostConfig, archive: Archive) -> Pipe:
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
                f"the daemon on {host.name} does not start ({last or 'no word from it'});"
                f" look at `docker logs {name}` there"
            ) from exc


def _run_argv(name: str, host: HostConfig, archive: Archive) -> list[str]:
    argv = ["docker", "run", "-i", "--name", name, "--label", f"kernelext.daemon={archive.digest}"]
    argv += ["--restart", "on-failure", "--network", "none", "--read-only"]
    argv += ["--security-opt", "no-new-privileges", "--log-driver", "json-file"]
    argv += ["--log-opt", "max-size=1m", "-v", f"{host.state_dir}:{host.state_dir}"]
    argv += ["-v", f"{SECRETS_DIR}:{SECRETS_DIR}", "-v", f"{DOCKER_SOCKET}:{DOCKER_SOCKET}"]
    argv += [host.daemon_image, "python3", "-I", "-S", "-c", BOOT]
    argv += [host.state_dir, archive.digest, str(len(archive.data))]
    argv += ["--engine", "docker", "--state", host.state_dir, "--code", archive.digest]
    argv += ["--secrets", SECRETS_DIR, "--docker-socket", DOCKER_SOCKET]
    argv += ["--default-image", host.daemon_image, "--own-container", name]
    if host.slots is not None:
        argv += ["--slots", str(host.slots)]
    return argv


def _line(process: SshProcess) -> str:
    line = b""
    while not line.endswith(b"\n"):
        byte = process.recv(1)
        if not byte:
            break
        line += byte
    return line.decode("ascii", "replace").strip()


def explain_docker(host: HostConfig, status: int, text: str) -> HostError | ConnectError:
    """Make the error that says why the host's `docker` failed, and what to do."""
    last = text.splitlines()[-1] if text else f"exit {status}"
    if "executable file not found" in text:
        return EngineError(
            f"the image {host.daemon_image} for the daemon on {host.name} has no python3;"
            f" set daemon_image of [hosts.{host.name}] to one that has"
        )
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
        return ImageNotFound(
            f"{host.name} has no image {host.daemon_image} for the daemon and cannot pull it;"
            f" load it there (docker load) or set daemon_image of [hosts.{host.name}]"
        )
    return EngineError(f"Docker on {host.name} does not start the daemon: {last}")

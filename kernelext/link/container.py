"""The container that a host's daemon runs in, however its engine is asked to start it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

from kernelext.errors import EngineError, ImageNotFound
from kernelext.hosts.config import HostConfig
from kernelext.link.archive import Archive
from kernelext.link.pipe import Pipe

START_TIMEOUT_S = 300.0  # the daemon's image may have to be pulled
READY_TIMEOUT_S = 20.0
CONNECT_TIMEOUT_S = 15.0
BEGIN_TIMEOUT_S = 1.0  # from the creation of a container to its start, by another client
START_TRIES = 2
SECRETS_DIR = "/run/kernelext"
DOCKER_SOCKET = "/var/run/docker.sock"
DAEMON_LABEL = "kernelext.daemon"
LOG_LIMIT = "1m"

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


def daemon_words(host: HostConfig, archive: Archive) -> list[str]:
    """Return the command that the container runs; it is handed the code on standard input."""
    words = ["python3", "-I", "-S", "-c", BOOT]
    words += [host.state_dir, archive.digest, str(len(archive.data))]
    words += ["--engine", "docker", "--state", host.state_dir, "--code", archive.digest]
    words += ["--secrets", SECRETS_DIR, "--docker-socket", DOCKER_SOCKET]
    words += ["--default-image", host.daemon_image]
    words += ["--own-container", container_name(host, archive)]
    if host.slots is not None:
        words += ["--slots", str(host.slots)]
    return words


def mounts(host: HostConfig) -> list[str]:
    """Return what it mounts: the same paths inside as outside."""
    return [f"{path}:{path}" for path in (host.state_dir, SECRETS_DIR, DOCKER_SOCKET)]


def relay_words(host: HostConfig, digest: str) -> list[str]:
    """Return the command that joins its standard streams to the daemon's socket."""
    code = f"{host.state_dir}/code/{digest}.zip"
    return ["python3", "-I", "-S", code, "connect", f"{host.state_dir}/daemon.sock"]


def hand_over(stream: Pipe, archive: Archive) -> bool:
    """Give the container the code if it asks for it; whether it has it now."""
    word = _line(stream)
    if word == "send":
        stream.sendall(archive.data)
        word = _line(stream)
    return word == "ready"


def _line(stream: Pipe) -> str:
    line = b""
    while not line.endswith(b"\n"):
        byte = stream.recv(1)
        if not byte:
            break
        line += byte
    return line.decode("ascii", "replace").strip()


def begins_to_run(is_running: Callable[[], bool]) -> bool:
    """Wait for a container that another client may be starting at this moment."""
    deadline_s = time.monotonic() + BEGIN_TIMEOUT_S
    while not is_running():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.1)
    return True


def no_python(host: HostConfig) -> EngineError:
    """Make the error of an image that cannot run the daemon."""
    return EngineError(
        f"the image {host.daemon_image} for the daemon on {host.name} has no python3;"
        f" set daemon_image of [hosts.{host.name}] to one that has"
    )


def no_image(host: HostConfig) -> ImageNotFound:
    """Make the error of an image that is not there."""
    return ImageNotFound(
        f"{host.name} has no image {host.daemon_image} for the daemon and cannot pull it;"
        f" load it there (docker load) or set daemon_image of [hosts.{host.name}]"
    )

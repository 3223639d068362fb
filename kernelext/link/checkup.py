"""Looks a host over by SSH, step by step; starts no daemon and changes nothing there."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kernelext.daemon.engine import PROBE
from kernelext.errors import ConnectError, HostError, KernelExtError
from kernelext.hosts import resolve_ssh
from kernelext.hosts.config import HostConfig
from kernelext.hosts.sshconfig import SshTarget
from kernelext.link.host_keys import verify
from kernelext.link.pipe import ForwardingForbidden, SocketAbsent
from kernelext.link.remote import explain_docker
from kernelext.link.ssh import SshConnection, host_key
from kernelext.link.tcp import connect

TIMEOUT_S = 20.0
IMAGE_TIMEOUT_S = 120.0
CLOCK_S = 5.0  # more than this misleads who reads times of both
FULL_BYTES = 2 * 1024**3
WANTED = ("numpy", "blosc2", "cloudpickle", "ipython")

# The nearest folder that exists, its free kilobytes, whether it is read-only; and the clock.
STATE = """\
dir=$1; while [ ! -e "$dir" ]; do dir=$(dirname "$dir"); done
df -Pk "$dir" | tail -1 | awk '{print $4}'
mount=$(df -Pk "$dir" | tail -1 | awk '{print $6}')
awk -v m="$mount" '$2 == m {o = $4} END {print (o ~ /(^|,)ro(,|$)/) ? "ro" : "rw"}' /proc/mounts
date +%s
"""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    is_ok: bool
    said: str


class HostCheckup:
    """Looks one SSH host over.

    Parameters
    ----------
    host : HostConfig
    environ : mapping
        Of the user.
    """

    def __init__(self, host: HostConfig, environ: Mapping[str, str]) -> None:
        self._host = host
        self._environ = environ

    def findings(self) -> Iterator[Finding]:
        """Look, in order; what cannot be looked at after a problem is left out."""
        assert self._host.ssh is not None
        try:
            target = self._resolve(self._host.ssh)
        except KernelExtError as exc:
            yield Finding("ssh configuration", False, str(exc))
            return
        for what, step in (("reach", self._reach), ("host key", self._key)):
            try:
                yield from step(target)
            except (KernelExtError, TimeoutError) as exc:
                yield Finding(what, False, str(exc))
                return
        try:
            connection = SshConnection.open(self._host.name, target, resolve=self._resolve)
        except (KernelExtError, TimeoutError) as exc:
            yield Finding("login", False, str(exc))
            return
        try:
            yield Finding("login", True, connection.address)
            yield from self._inside(connection)
        except (KernelExtError, TimeoutError) as exc:
            yield Finding("connection", False, str(exc))
        finally:
            connection.close()

    def _resolve(self, target: str) -> SshTarget:
        return resolve_ssh(target, self._environ)

    def _reach(self, target: SshTarget) -> Iterator[Finding]:
        where = f"{target.hostname}:{target.port}"
        if target.proxy_jump:
            yield Finding("address", True, f"{where} by way of {', '.join(target.proxy_jump)}")
            return
        try:
            found = socket.getaddrinfo(target.hostname, target.port, type=socket.SOCK_STREAM)
        except OSError as exc:
            raise ConnectError(
                f"no address is known for {target.hostname}: give {self._host.name} a HostName in"
                " ~/.ssh/config"
            ) from exc
        address = str(found[0][4][0])
        is_name = address != target.hostname
        yield Finding("address", True, f"{where} is {address}" if is_name else where)
        began_s = time.monotonic()
        connect(self._host.name, target.hostname, target.port, TIMEOUT_S / 2).close()
        took_ms = (time.monotonic() - began_s) * 1000
        yield Finding("reach", True, f"the port answers in {took_ms:.1f} ms")

    def _key(self, target: SshTarget) -> Iterator[Finding]:
        shown = host_key(self._host.name, target, resolve=self._resolve)
        verify(self._host.name, target, shown)
        yield Finding("host key", True, f"{shown.type} {shown.fingerprint_sha256}, enrolled")

    # logged in

    def _inside(self, connection: SshConnection) -> Iterator[Finding]:
        try:
            version = _docker(connection, self._host, "version", "-f", "{{.Server.Version}}")
        except HostError as exc:
            yield Finding("Docker", False, str(exc))
            return
        yield Finding("Docker", True, f"engine {version}, the login may use it")
        yield from self._forwarding(connection)
        yield from self._state(connection)
        yield from self._images(connection)
        yield from self._gpus(connection)
        yield from self._containers(connection)

    def _forwarding(self, connection: SshConnection) -> Iterator[Finding]:
        try:
            connection.open_socket(f"{self._host.state_dir}/daemon.sock", TIMEOUT_S).close()
            said = "allowed; the daemon answers"
        except SocketAbsent:
            said = "allowed; no daemon runs now, the first cell starts it"
        except ForwardingForbidden:
            said = (
                "forbidden: slower ways are used; ask the administrator for"
                " AllowStreamLocalForwarding"
            )
        yield Finding("forwarding", True, said)

    def _state(self, connection: SshConnection) -> Iterator[Finding]:
        path = self._host.state_dir
        asked_s = time.time()
        status, said = _run(connection, ["sh", "-c", STATE, "sh", path])
        here_s = (asked_s + time.time()) / 2
        words = said.split()
        if status or len(words) != 3:
            yield Finding("disk", False, f"{path} cannot be looked at ({said or status})")
            return
        free = int(words[0]) * 1024
        where = f"{path} has {free / 1e9:.1f} GB free"
        if words[1] == "ro":
            yield Finding("disk", False, f"{path} is on a read-only disk: set state_dir elsewhere")
        elif free < FULL_BYTES:
            yield Finding("disk", False, f"{where}: `kernelext gc {self._host.name}` makes room")
        else:
            yield Finding("disk", True, where)
        apart_s = float(words[2]) + 0.5 - here_s  # the host says whole seconds
        is_ok = abs(apart_s) <= CLOCK_S
        advice = "" if is_ok else ": times will mislead; run a time service (NTP) there and here"
        yield Finding("clock", is_ok, f"{abs(apart_s):.0f} s from this machine's{advice}")

    def _images(self, connection: SshConnection) -> Iterator[Finding]:
        name, daemon = self._host.name, self._host.daemon_image
        cell = self._host.image or daemon
        for what, image in (("daemon image", daemon), ("cell image", cell)):
            try:
                _docker(connection, self._host, "image", "inspect", "-f", "{{.Id}}", image)
            except HostError:
                yield Finding(
                    what,
                    False,
                    f"{image} is not there; the first cell pulls it, or load it (docker load), or"
                    f" name another in [hosts.{name}]",
                )
                continue
            if what == "cell image":
                yield self._probe(connection, image)
            else:
                yield Finding(what, True, image)

    def _probe(self, connection: SshConnection, image: str) -> Finding:
        argv = ["docker", "run", "--rm", "--network", "none", "--entrypoint", "python3"]
        status, said = _run(connection, [*argv, image, "-c", PROBE], IMAGE_TIMEOUT_S)
        try:
            facts = json.loads(said)
        except ValueError:
            facts = {}
        if status or "python" not in facts:
            return Finding("cell image", False, f"{image} has no python3: choose one that has")
        versions = {str(key).lower(): value for key, value in facts["packages"].items()}
        has = [f"{each} {versions[each]}" for each in WANTED if each in versions]
        lacks = [each for each in WANTED if each not in versions]
        text = f"{image}: Python {facts['python']}" + "".join(f", {each}" for each in has)
        return Finding(
            "cell image", True, text + (f"; without {', '.join(lacks)}" if lacks else "")
        )

    def _gpus(self, connection: SshConnection) -> Iterator[Finding]:
        status, listed = _run(connection, ["nvidia-smi", "-L"])
        gpus = [line for line in listed.splitlines() if line.startswith("GPU ")]
        if status or not gpus:
            yield Finding("GPUs", True, "none")
            return
        runtimes = _docker(connection, self._host, "info", "-f", "{{json .Runtimes}}")
        if "nvidia" in runtimes:
            yield Finding("GPUs", True, f"{len(gpus)}, Docker has the NVIDIA runtime")
        else:
            advice = "install nvidia-container-toolkit there and restart Docker"
            yield Finding("GPUs", False, f"{len(gpus)}, but Docker has no NVIDIA runtime: {advice}")

    def _containers(self, connection: SshConnection) -> Iterator[Finding]:
        def count(label: str, *words: str) -> int:
            argv = ["ps", "-q", *words, "--filter", f"label={label}"]
            return len(_docker(connection, self._host, *argv).split())

        cells, daemons = count("kernelext.container", "-a"), count("kernelext.daemon")
        if cells and not daemons:
            advice = f"`kernelext gc {self._host.name}` removes those that no run is in"
            yield Finding("containers", False, f"{cells} of cells and no daemon: {advice}")
        else:
            yield Finding("containers", True, f"{cells} of cells, {daemons} of the daemon")


def _docker(connection: SshConnection, host: HostConfig, *words: str) -> str:
    """Run the host's `docker` and return what it says.

    Raises
    ------
    HostError, ConnectError
    """
    process = connection.execute(["docker", *words], TIMEOUT_S)
    status, said, complaint = process.communicate()
    if status:
        raise explain_docker(host, status, complaint.decode("utf-8", "replace").strip())
    return said.decode("utf-8", "replace").strip()


def _run(
    connection: SshConnection, argv: list[str], timeout_s: float = TIMEOUT_S
) -> tuple[int, str]:
    status, said, _ = connection.execute(argv, timeout_s).communicate()
    return status, said.decode("utf-8", "replace").strip()

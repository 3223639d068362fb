"""The lab does to its hosts what it says, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from pathlib import Path

import pytest

from .commands import run
from .host import Host
from .lab import Lab
from .network import link_exists
from .processes import REPOSITORY

IN_THE_IMAGE = "import numpy, cloudpickle, blosc2, sklearn, xgboost, pandas, IPython"


def ssh(environment: dict[str, str], *argv: str, check: bool = True) -> str:
    """Run a command on a host as a client would."""
    settings = {**os.environ, **environment}
    program = Path(environment["PATH"].split(os.pathsep)[0]) / "ssh"
    return run(program, *argv, environment=settings, check=check, timeout_s=60).stdout.strip()


def connect_time(host: Host, tries: int = 3) -> float:
    """Return the shortest time of a TCP connect in seconds."""
    times = []
    for _ in range(tries):
        began = time.monotonic()
        socket.create_connection((host.ip, 22), 5).close()
        times.append(time.monotonic() - began)
    return min(times)


def answers(host: Host) -> bool:
    """Say whether a TCP connect succeeds within half a second."""
    with contextlib.suppress(OSError):
        socket.create_connection((host.ip, 22), 0.5).close()
        return True
    return False


def test_ssh_docker_run_imports_the_images_packages(lab_environment: dict[str, str]) -> None:
    said = ssh(
        lab_environment,
        "host01",
        f"docker run --rm --user 1234 kernelext-lab:dev python3 -c '{IN_THE_IMAGE}; print(1)'",
    )
    assert said == "1"


def test_images_share_the_python_and_its_bytecode(lab: Lab) -> None:
    host = lab.host("host01")
    plain = ("docker", "run", "--rm", "python:3.11-slim", "python3", "-c")
    said = host.exec(*plain, "import json, sys; print(sys.version_info[:2], json.__cached__)")
    assert said.stdout.startswith("(3, 11)")
    file = said.stdout.split()[-1]
    host.exec("docker", "run", "--rm", "kernelext-lab:dev", "test", "-e", file)
    assert host.exec(*plain, "import numpy", check=False).returncode == 1


def test_image_without_python_has_none(lab: Lab) -> None:
    words = ("docker", "run", "--rm", "nopython:dev")
    assert lab.host("host01").exec(*words, "python3", check=False).returncode == 127
    assert lab.host("host01").exec(*words, "echo", "shell").stdout == "shell\n"


def test_silent_kill_keeps_the_disk_and_sends_nothing(lab_hosts: list[Host]) -> None:
    host = lab_hosts[1]
    volume = ("docker", "run", "--rm", "-v", "kept:/kept", "nopython:dev", "sh", "-c")
    host.exec(*volume, "echo survived > /kept/file; sync")
    with socket.create_connection((host.ip, 22), 5) as client:
        client.recv(100)
        host.kill()
        client.settimeout(0.5)
        with pytest.raises(TimeoutError):
            client.recv(100)
    assert not host.running
    host.restart()
    assert host.exec(*volume, "cat /kept/file").stdout == "survived\n"
    host.exec("docker", "volume", "rm", "kept")


def test_loud_kill_closes_connections(lab_hosts: list[Host]) -> None:
    host = lab_hosts[1]
    with socket.create_connection((host.ip, 22), 5) as client:
        client.recv(100)
        host.kill(silent=False)
        client.settimeout(2)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(100) == b""


def test_stop_ends_containers_in_order(lab_hosts: list[Host]) -> None:
    host = lab_hosts[2]
    name = "orderly"
    script = "trap 'echo stopped; exit 3' TERM; while :; do sleep 0.1; done"
    host.exec("docker", "run", "-d", "--name", name, "nopython:dev", "sh", "-c", script)
    host.stop()
    assert not host.running
    host.restart()
    assert host.exec("docker", "wait", name).stdout == "3\n"
    assert host.exec("docker", "logs", name).stdout == "stopped\n"
    host.exec("docker", "rm", name)


@pytest.mark.parametrize("mode", ["link", "drop"])
def test_partition_cuts_and_heal_mends(lab_hosts: list[Host], mode: str) -> None:
    host = lab_hosts[2]
    host.partition(mode)
    assert not answers(host)
    assert answers(lab_hosts[0])
    host.heal()
    assert connect_time(host) < 0.5
    assert not host.faults


def test_slow_delays_a_connect_by_what_was_asked(lab_hosts: list[Host]) -> None:
    host = lab_hosts[2]
    host.slow(delay="100ms")
    assert 0.099 < connect_time(host) < 0.150
    host.heal()
    assert connect_time(host) < 0.050


def test_slow_rate_holds_and_wire_bytes_count(
    lab_hosts: list[Host], lab_environment: dict[str, str]
) -> None:
    host = lab_hosts[2]
    host.slow(rate="40mbit")
    before = host.wire_bytes()
    began = time.monotonic()
    ssh(lab_environment, host.name, "head -c 5000000 /dev/zero")
    took = time.monotonic() - began
    after = host.wire_bytes()
    to_host, from_host = after[0] - before[0], after[1] - before[1]
    assert took > 0.8
    assert 5_000_000 < from_host < 6_000_000
    assert to_host < 500_000


def test_host_key_of_a_stranger_is_refused(lab: Lab, lab_environment: dict[str, str]) -> None:
    lines = lab.ssh.known_hosts.read_text()
    lab.ssh.known_hosts.write_text(lines.replace(f"{lab.host('host03').ip} ", "10.77.0.99 "))
    try:
        assert ssh(lab_environment, "host03", "echo in", check=False) == ""
    finally:
        lab.ssh.known_hosts.write_text(lines)
    assert ssh(lab_environment, "host03", "echo in") == "in"


def left_behind(lab: Lab) -> list[str]:
    """Name what a lab has in the machine: processes, mounts, links, rules, cgroups."""
    state, bridge = str(lab.state), lab.network.bridge
    processes = run("ps", "-eo", "stat=,args=").stdout.splitlines()
    links = run("ip", "-o", "link").stdout.splitlines()
    rules = run("iptables", "-S").stdout.splitlines()
    slices = [root / lab.cgroups.slice for root in lab.cgroups.roots]
    return [
        *(line for line in processes if state in line),
        *(line for line in Path("/proc/mounts").read_text().splitlines() if state in line),
        *(line for line in links if f" {bridge}" in line),
        *(line for line in rules if f"{bridge}+" in line),
        *(str(where) for where in slices if where.exists()),
    ]


def test_down_leaves_nothing_behind(lab: Lab, tmp_path: Path) -> None:
    second = Lab(tmp_path / "state", lab.cache, bridge="labtwo", subnet="10.78.0.0/24")
    try:
        hosts = second.up(2, memory="2g", cpus="0")
        facts = hosts[0].exec("docker", "info", "--format", "{{.MemTotal}} {{.NCPU}}")
        assert facts.stdout == f"{2 << 30} 1\n"
        hosts[0].exec("docker", "run", "-d", "nopython:dev", "sleep", "600")
        hosts[0].slow(delay="20ms")
        hosts[1].partition("drop")
        assert left_behind(second)
    finally:
        second.down(purge=True)
    assert left_behind(second) == []
    assert not link_exists("labtwo")
    assert not any(host.running for host in hosts)
    assert list(second.site.directory.iterdir()) == []
    assert lab.host("host01").running


def test_command_line_needs_only_the_standard_library() -> None:
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": os.environ["PATH"]}
    words = (sys.executable, "-S", "-m", "tests.lab", "packages")
    assert "debootstrap" in run(*words, environment=environment).stdout.split()

"""One Docker host of the lab: its life, and what a test may do to it."""

from __future__ import annotations

import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from .cable import Cable
from .cgroups import Cgroups
from .commands import LabError, run, say
from .delayline import Shape
from .disk import Disk
from .guest import Guest
from .images import ImageSet
from .network import Network
from .processes import start_module
from .spawn import Plan
from .sshfiles import SshFiles
from .statefiles import read_json, write_json
from .units import parse_delay, parse_rate

HERE = Path(__file__).resolve().parent
WAIT_FOR_DOCKER = (
    "for turn in $(seq 400); do docker info > /dev/null 2>&1 && exit; sleep 0.05; done; exit 9"
)


@dataclass(frozen=True)
class Site:
    """What the hosts of one lab share."""

    directory: Path
    network: Network
    cgroups: Cgroups
    ssh: SshFiles


class Host:
    """A machine of its own: disk, address, sshd and dockerd."""

    def __init__(self, site: Site, name: str) -> None:
        self.site, self.name = site, name
        self.directory = site.directory / name
        self.disk = Disk(self.directory)
        self.guest = Guest(name, self.directory)
        self.ip = site.network.address(name)
        self.cable = Cable(site.network, self.ip, self.guest, self.directory)

    @property
    def settings(self) -> dict[str, Any]:
        """What the host was made with; empty before it is."""
        return dict(read_json(self.directory / "host.json", {}))

    @property
    def images(self) -> ImageSet:
        """The images the host was made from."""
        return ImageSet(Path(self.settings["images"]))

    @property
    def running(self) -> bool:
        """Whether the power is on."""
        return self.guest.running

    @property
    def faults(self) -> dict[str, Any]:
        """What is wrong with the network cable; empty when nothing is."""
        return self.cable.faults

    def create(self, images: ImageSet, memory_bytes: int | None, cpus: str | None) -> None:
        """Make the disk; the host is off."""
        self.disk.create(self.name)
        settings = {"images": str(images.directory), "memory_bytes": memory_bytes, "cpus": cpus}
        write_json(self.directory / "host.json", settings)

    def remove(self) -> None:
        """Cut the power and delete the disk."""
        self.kill()
        self.disk.remove()

    def boot(self) -> None:
        """Switch on; returns before sshd and dockerd answer."""
        if self.running:
            return
        settings = self.settings
        if not settings or not self.images.whole:
            raise LabError(f"{self.name} cannot boot: it, or its image, was never made")
        self._clean_up()
        self.disk.prepare_boot(self.images, self.site.ssh.public_key)
        self.site.cgroups.create(self.name, settings["memory_bytes"], settings["cpus"])
        start_module("spawn", self._plan().to_json(), environment=self._boot_environment())

    def _plan(self) -> Plan:
        network = self.site.network
        return Plan(
            script=str(HERE / "boot.sh"),
            console=str(self.directory / "console.log"),
            record=str(self.guest.record),
            watcher_record=str(self.guest.watcher_record),
            cgroup_files=self.site.cgroups.member_files(self.name),
            veth=self.cable.veth,
            mac=network.mac(self.ip),
            bridge=network.bridge,
        )

    def _boot_environment(self) -> dict[str, str]:
        memory_bytes = self.settings["memory_bytes"]
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LAB_DIR": str(self.directory),
            "LAB_LOWER": str(self.images.hostfs),
            "LAB_INIT": str(HERE / "init.sh"),
            "LAB_NAME": self.name,
            "LAB_IP": self.ip,
            "LAB_PREFIX": str(self.site.network.subnet.prefixlen),
            "LAB_CGROUPS": self.site.cgroups.mount_options,
            "LAB_MEMORY_KB": str(memory_bytes // 1024) if memory_bytes else "",
        }

    def wait_ssh(self, timeout_s: float = 60) -> None:
        """Wait until `docker info` answers over SSH, as a client would see it."""
        deadline = time.monotonic() + timeout_s
        last = "no answer on port 22"
        while self.running and time.monotonic() < deadline:
            try:
                socket.create_connection((self.ip, 22), 1).close()
            except OSError:
                time.sleep(0.02)
                continue
            argv = [*self.site.ssh.command, f"root@{self.ip}", WAIT_FOR_DOCKER]
            done = run(*argv, check=False, timeout_s=timeout_s)
            if done.returncode == 0:
                return
            last = done.stderr.strip()
            time.sleep(0.1)
        log = self.directory / "console.log"
        raise LabError(f"{self.name} did not become ready ({last}); see {log}")

    def wait_docker(self, timeout_s: float = 60) -> None:
        """Wait until dockerd answers inside, without the network."""
        deadline = time.monotonic() + timeout_s
        while self.exec("docker", "version", check=False).returncode:
            if time.monotonic() > deadline:
                log = self.disk.upper / "var/log/dockerd.log"
                raise LabError(f"{self.name}: dockerd did not come up; see {log}")
            time.sleep(0.1)

    def kill(self, silent: bool = True) -> None:
        """Cut the power; unless silent, the dying kernel still closes its connections."""
        if silent and self.running:
            self.cable.unplug()
        self.guest.kill()
        self._clean_up()

    def stop(self, timeout_s: float = 30) -> None:
        """Press the power button: containers stop in order, then the power goes."""
        process = self.guest.process
        if process is not None and process.is_alive:
            self.exec("sh", "-c", "echo poweroff > /run/initctl")
            process.wait(timeout_s)
        self.kill()

    def restart(self) -> None:
        """Cut the power, boot the same disk and wait for SSH."""
        self.kill()
        self.boot()
        self.wait_ssh()

    def _clean_up(self) -> None:
        if not self.settings:
            return
        self.cable.clear()
        self.cable.unplug()
        self.cable.fault_file.unlink(missing_ok=True)
        if left := self.site.cgroups.remove(self.name):
            say(f"{self.name}: cgroups that would not go: {' '.join(left)}")

    def exec(
        self, *argv: str, check: bool = True, stdin: IO[bytes] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the host as root, not over SSH."""
        return self.guest.exec(*argv, check=check, stdin=stdin)

    def partition(self, mode: str = "link") -> None:
        """Cut the network: `link` pulls the cable, `drop` loses every packet."""
        self.cable.partition(mode)

    def slow(
        self,
        delay: str | None = None,
        rate: str | None = None,
        jitter: str | None = None,
        loss: float = 0.0,
    ) -> str:
        """Add a round trip's delay and jitter ("40ms"), a rate ("100mbit"), a loss in percent."""
        half = parse_delay(delay) / 2, parse_delay(jitter) / 2
        return self.cable.slow(Shape(half[0], parse_rate(rate), half[1], loss))

    def heal(self) -> None:
        """Undo partition and slow."""
        self.cable.join()
        self.cable.clear()

    def wire_bytes(self) -> tuple[int, int]:
        """Return the bytes that went to and came from the host since it booted."""
        return self.cable.wire_bytes()

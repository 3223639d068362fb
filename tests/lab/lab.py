"""The lab: several hosts on one bridge, and the images they start from."""

from __future__ import annotations

import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .cgroups import Cgroups
from .commands import LabError, say
from .host import Host, Site
from .images import ImageSet, build_trees
from .network import Network
from .sshfiles import SshFiles
from .statefiles import locked, read_json, write_json
from .units import parse_size

BRIDGE = "lab0"
SUBNET = "10.77.0.0/24"

# What dockerd makes anew, and what names one engine among others.
NOT_SEEDED = ("network", "containers", "tmp", "runtimes", "swarm", "buildkit", "engine-id")


def default_cache() -> Path:
    """Return the directory of the images."""
    return Path(os.environ.get("KERNELEXT_LAB_CACHE") or Path.home() / ".cache/kernelext-lab")


def default_state() -> Path:
    """Return the directory of the running hosts."""
    return Path(os.environ.get("KERNELEXT_LAB_STATE") or default_cache() / "state")


class Lab:
    """A set of hosts; all it writes lies under its state and the image cache."""

    def __init__(
        self, state: Path, cache: Path, *, bridge: str | None = None, subnet: str | None = None
    ) -> None:
        self.state, self.cache = state.resolve(), cache.resolve()
        self.images = ImageSet.of_recipe(self.cache)
        kept = read_json(self.state / "lab.json", {})
        bridge, subnet = bridge or kept.get("bridge", BRIDGE), subnet or kept.get("subnet", SUBNET)
        self.network = Network(bridge, subnet, owner=self.state)
        self.cgroups = Cgroups(f"lab-{bridge}")
        self.ssh = SshFiles(self.state)
        self.site = Site(self.state / "hosts", self.network, self.cgroups, self.ssh)

    @property
    def home(self) -> Path:
        """The clients' HOME."""
        return self.ssh.home

    @property
    def bin(self) -> Path:
        """The directory that clients put first on PATH."""
        return self.ssh.bin

    def environment(self) -> dict[str, str]:
        """Return the HOME and PATH with which clients reach the hosts."""
        return self.ssh.environment

    def hosts(self) -> list[Host]:
        """Return the hosts that were ever made and not purged."""
        made = sorted(self.site.directory.glob("*/host.json"))
        return [Host(self.site, file.parent.name) for file in made]

    def host(self, name: str) -> Host:
        """Return one host."""
        hosts = {host.name: host for host in self.hosts()}
        if name not in hosts:
            raise LabError(f"no host {name} (there are: {', '.join(hosts) or 'none'})")
        return hosts[name]

    def build_images(self) -> None:
        """Build the images that the recipe asks for and the cache lacks."""
        if self.images.whole:
            return
        with locked(self.cache / "build.lock"):
            if self.images.whole:
                return
            partial = ImageSet(self.cache / "partial")
            builder = self._builder(partial)
            builder.down(purge=True)  # of a build that was killed
            build_trees(partial, self.cache)
            try:
                builder._make_seed(partial.seed)
            finally:
                builder.down(purge=True)
            shutil.rmtree(builder.state)
            partial.directory.rename(self.images.directory)

    def _builder(self, partial: ImageSet) -> Lab:
        state = partial.directory / "builder"
        builder = Lab(state, self.cache, bridge="labseed", subnet="10.79.0.0/24")
        builder.images = partial
        return builder

    def _make_seed(self, seed: Path) -> None:
        say("docker load, into the data root that hosts start from")
        self._prepare()
        host = self._add("host01", None, None)
        host.boot()
        host.wait_docker()
        with self.images.archive.open("rb") as archive:
            host.exec("docker", "load", "-q", stdin=archive)
        host.stop()
        for name in NOT_SEEDED:
            shutil.rmtree(host.disk.docker / name, ignore_errors=True)
        (host.disk.docker / "engine-id").unlink(missing_ok=True)
        host.disk.docker.rename(seed)

    def up(self, count: int, memory: str | None = None, cpus: str | None = None) -> list[Host]:
        """Boot host01 and so on, and wait until their dockerd answers over SSH."""
        self.build_images()
        self._prepare()
        memory_bytes = parse_size(memory)

        def start(number: int) -> Host:
            host = self._add(f"host{number:02d}", memory_bytes, cpus)
            host.disk.fill_docker(self.images.seed)
            host.boot()
            host.wait_ssh()
            return host

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(start, range(1, count + 1)))

    def _prepare(self) -> None:
        with locked(self.state / "lock"):
            kept = {"bridge": self.network.bridge, "subnet": str(self.network.subnet)}
            write_json(self.state / "lab.json", kept)
            self.site.directory.mkdir(exist_ok=True)
            self.ssh.create()
            self.network.create()

    def _add(self, name: str, memory_bytes: int | None, cpus: str | None) -> Host:
        if not re.fullmatch(r"host\d\d+", name):
            raise LabError(f"not a host's name: {name}")
        with locked(self.state / "lock"):
            host = Host(self.site, name)
            if host.settings and host.images != self.images:
                host.remove()  # its disk lies over another recipe's image
            if not host.settings:
                host.create(self.images, memory_bytes, cpus)
            keys = {made.name: made.disk.host_key for made in self.hosts()}
            self.ssh.write_hosts(self.network, keys)
            return host

    def down(self, purge: bool = False) -> None:
        """Cut all power and leave nothing behind; disks and keys stay unless purged."""
        hosts = self.hosts()
        with locked(self.state / "lock"), ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(Host.remove if purge else Host.kill, hosts))
            if self.network.is_ours and (left := self.cgroups.remove()):
                say(f"cgroups that would not go: {' '.join(left)}")
            self.network.remove()
            if purge:
                self.ssh.remove()

"""The recipe of the host image and the container images, and where they are cached."""

from __future__ import annotations

import hashlib
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .archive import Image, pack_layer, pack_whiteouts, write_archive
from .commands import LabError, say
from .rootfs import add_packages, bootstrap, chroot, install
from .wheels import install_wheels

MACHINE_PACKAGES = [
    "debian-archive-keyring",
    "debootstrap",
    "faketime",
    "iproute2",
    "iptables",
    "openssh-client",
    "sshfs",
    "util-linux",
]
SUITE = "bookworm"  # its Python is 3.11
OTHER_SUITE = "bullseye"  # its Python is 3.9
HOST_PACKAGES = [
    "ca-certificates",
    "docker-registry",
    "docker.io",
    "iproute2",
    "iptables",
    "iputils-ping",
    "openssh-server",
    "openssh-sftp-server",
    "procps",
    "python3-minimal",
    "rsync",
    "sudo",
    "tini",
]
PYTHON_PACKAGES = ["ca-certificates", "libgomp1", "procps", "python3"]
OTHER_WHEELS = ["cloudpickle", "numpy"]
WHEELS = ["blosc2", "cloudpickle", "ipython", "numpy", "pandas", "scikit-learn", "xgboost-cpu"]

PLAIN_TAG = "python:3.11-slim"
LAB_TAG = "kernelext-lab:dev"
NO_PYTHON_TAG = "nopython:dev"
OTHER_TAG = "kernelext-lab:bullseye"

VENV = "/opt/venv"
LEFT_OUT = (
    "proc/*",
    "sys/*",
    "dev/*",
    "tmp/*",
    "var/cache/apt/*",
    "var/lib/apt/lists/*",
    "usr/share/doc/*",
    "usr/share/locale/*",
    "usr/share/man/*",
)
SSHD_SETTINGS = """\
HostKey /etc/ssh/ssh_host_ed25519_key
UsePAM no
UseDNS no
PermitRootLogin prohibit-password
PasswordAuthentication no
"""
# Without PAM, sshd refuses accounts locked with "!".
FINISH_HOST = """
rm -rf /etc/ssh/ssh_host_* /var/lib/apt/lists/*
useradd -m -s /bin/bash -G docker,sudo -p '*' ubuntu
echo 'ubuntu ALL=(ALL) NOPASSWD:ALL' > /etc/sudoers.d/lab
chmod 440 /etc/sudoers.d/lab
mkdir -p /var/lib/docker /.old
: > /etc/resolv.conf
: > /etc/machine-id
"""


@dataclass(frozen=True)
class ImageSet:
    """One build of the recipe; its directory gets its name when all is in it."""

    directory: Path

    @classmethod
    def of_recipe(cls, cache: Path) -> ImageSet:
        """Return the build that belongs to the recipe as it is now."""
        digest = hashlib.sha256()
        for name in ("archive.py", "images.py", "rootfs.py", "wheels.py"):
            digest.update(Path(__file__).with_name(name).read_bytes())
        return cls(cache / f"images-{digest.hexdigest()[:12]}")

    @property
    def whole(self) -> bool:
        """Whether the build is there and complete."""
        return self.directory.is_dir()

    @property
    def hostfs(self) -> Path:
        """The hosts' root file system."""
        return self.directory / "hostfs"

    @property
    def archive(self) -> Path:
        """The container images, for `docker load`."""
        return self.directory / "images.tar"

    @property
    def layers(self) -> Path:
        """Where layers lie until they are in the archive."""
        return self.directory / "layers"

    @property
    def seed(self) -> Path:
        """A Docker data root that holds the container images."""
        return self.directory / "seed"


def build_trees(images: ImageSet, cache: Path) -> None:
    """Build the host's file system and the archive, from nothing."""
    shutil.rmtree(images.directory, ignore_errors=True)
    if images.directory.exists():
        raise LabError(f"{images.directory} cannot be removed")
    images.layers.mkdir(parents=True)
    with ThreadPoolExecutor(2) as pool:
        bases = list(pool.map(lambda suite: base_of(suite, cache), (SUITE, OTHER_SUITE)))
        host = pool.submit(build_host, images, bases[0])
        containers = pool.submit(build_containers, images, bases[0])
        other = pool.submit(build_other, images, bases[1])
        host.result()
        write_archive([*containers.result(), other.result()], images.archive)
    shutil.rmtree(images.layers)


def base_of(suite: str, cache: Path) -> Path:
    """Return the packed smallest tree of a Debian release, made when it is first asked for."""
    base = cache / f"debootstrap-{suite}.tar"
    if not base.exists():
        bootstrap(base, suite)
    return base


def build_host(images: ImageSet, base: Path) -> None:
    """Make the file system that all hosts share, read-only."""
    install(base, images.hostfs, HOST_PACKAGES)
    settings = images.hostfs / "etc/ssh/sshd_config.d/lab.conf"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(SSHD_SETTINGS)
    chroot(images.hostfs, FINISH_HOST)


def build_containers(images: ImageSet, base: Path) -> list[Image]:
    """Pack the layers of a plain Python, of one with packages, of a system without Python."""
    tree = images.directory / "containers"
    install(base, tree, PYTHON_PACKAGES)
    # Runs are not root, so they could never write the bytecode.
    chroot(tree, "python3 -m compileall -q /usr/lib/python3 /usr/lib/python3.11; : > /etc/hosts")
    plain = pack_layer(tree, images.layers / "plain.tar", ".", LEFT_OUT)
    whiteouts = pack_whiteouts(
        ["usr/bin/python3", "usr/bin/python3.11"], images.layers / "none.tar"
    )
    (tree / "etc/hosts").unlink()
    add_packages(tree, ["python3-venv"])
    say(f"containers: pip install {' '.join(WHEELS)}")
    install_wheels(tree, VENV, WHEELS)
    packages = pack_layer(tree, images.layers / "packages.tar", f".{VENV}")
    shutil.rmtree(tree)
    return [
        Image(PLAIN_TAG, (plain,)),
        Image(LAB_TAG, (plain, packages), path=f"{VENV}/bin:{Image.path}"),
        Image(NO_PYTHON_TAG, (plain, whiteouts), command="sh"),
    ]


def build_other(images: ImageSet, base: Path) -> Image:
    """Pack the one layer of another Debian release, with another Python."""
    tree = images.directory / "other"
    install(base, tree, [*PYTHON_PACKAGES, "python3-venv"])
    say(f"other: pip install {' '.join(OTHER_WHEELS)}")
    install_wheels(tree, VENV, OTHER_WHEELS)
    chroot(tree, "python3 -m compileall -q /usr/lib/python3 /usr/lib/python3.9; : > /etc/hosts")
    layer = pack_layer(tree, images.layers / "other.tar", ".", LEFT_OUT)
    shutil.rmtree(tree)
    return Image(OTHER_TAG, (layer,), path=f"{VENV}/bin:{Image.path}")

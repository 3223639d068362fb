"""A host's disk: what survives a power cut."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .commands import run, succeeds
from .images import ImageSet

LOGIN_USERS = ("root", "ubuntu")


class Disk:
    """The writable layer over the host image, and Docker's data root."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.upper = directory / "upper"
        self.work = directory / "work"
        self.docker = directory / "docker"

    def create(self, name: str) -> None:
        """Make an empty disk with an SSH host key."""
        keys = self.upper / "etc/ssh"
        for part in (keys, self.work, self.directory / "root", self.docker):
            part.mkdir(parents=True, exist_ok=True)
        self.upper.chmod(0o755)
        self.docker.chmod(0o710)
        key = keys / "ssh_host_ed25519_key"
        if not key.exists():
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", key)

    @property
    def host_key(self) -> str:
        """The public SSH host key, its comment left out."""
        text = (self.upper / "etc/ssh/ssh_host_ed25519_key.pub").read_text()
        return " ".join(text.split()[:2])

    def fill_docker(self, seed: Path) -> None:
        """Give a new host the images: hard links to the layers, copies of the databases."""
        if any(self.docker.iterdir()):
            return
        for part in seed.iterdir():
            # Overlay copies a file up before it is written, so links are safe.
            linked = part.name == "overlay2" and succeeds("cp", "-al", part, self.docker)
            if not linked:  # or the cache lies on another file system
                shutil.rmtree(self.docker / part.name, ignore_errors=True)
                run("cp", "-a", part, self.docker)

    def prepare_boot(self, images: ImageSet, public_key: str) -> None:
        """Let the key log in, and clear what an overlay leaves behind."""
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()
        for line in (images.hostfs / "etc/passwd").read_text().splitlines():
            user, _, uid, gid, _, home, _ = line.split(":")
            if user in LOGIN_USERS:
                self._authorize(home, (int(uid), int(gid)), public_key)

    def _authorize(self, home: str, owner: tuple[int, int], public_key: str) -> None:
        top = self.upper / home.lstrip("/")
        file = top / ".ssh/authorized_keys"
        if top.parent != self.upper:
            top.parent.mkdir(mode=0o755, exist_ok=True)
        for directory in (top, file.parent):
            directory.mkdir(mode=0o700, exist_ok=True)
            os.chown(directory, *owner)
        file.write_text(public_key)
        file.chmod(0o600)
        os.chown(file, *owner)

    def remove(self) -> None:
        """Delete all that the host ever wrote."""
        shutil.rmtree(self.directory, ignore_errors=True)

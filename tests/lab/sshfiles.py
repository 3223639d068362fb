"""A HOME in which ssh, paramiko and Docker's client reach the hosts, apart from ~/.ssh."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

from .commands import run
from .network import Network

CONFIG = """\
Host {pattern} {names}
  User root
  IdentityFile {key}
  IdentitiesOnly yes
  UserKnownHostsFile {known_hosts}
  StrictHostKeyChecking yes
  BatchMode yes
  ConnectTimeout 5
"""


class SshFiles:
    """The client's key, configuration and known hosts."""

    def __init__(self, state: Path) -> None:
        self.home = state / "home"
        self.bin = state / "bin"
        self.key = self.home / ".ssh/id_ed25519"
        self.config = self.home / ".ssh/config"
        self.known_hosts = self.home / ".ssh/known_hosts"

    @property
    def public_key(self) -> str:
        """The line for a host's authorized_keys."""
        return self.key.with_suffix(".pub").read_text()

    @property
    def command(self) -> list[str]:
        """The words of an ssh that reads these files."""
        return ["ssh", "-F", str(self.config)]

    @property
    def environment(self) -> dict[str, str]:
        """The HOME and PATH with which clients reach the hosts."""
        path = os.environ.get("PATH", os.defpath)
        return {"HOME": str(self.home), "PATH": f"{self.bin}{os.pathsep}{path}"}

    def create(self) -> None:
        """Make the key and the programs, where they are not there yet."""
        self.key.parent.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o700)
        self.key.parent.chmod(0o700)
        if not self.key.exists():
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", self.key)
        self._write_shims()

    def _write_shims(self) -> None:
        # OpenSSH takes the home directory from the user database, never from $HOME.
        self.bin.mkdir(exist_ok=True)
        words = os.environ.get("PATH", os.defpath).split(os.pathsep)
        path = os.pathsep.join(word for word in words if Path(word) != self.bin)
        for name in ("ssh", "scp", "sftp"):
            if real := shutil.which(name, path=path):
                shim = self.bin / name
                shim.write_text(f'#!/bin/sh\nexec {real} -F {shlex.quote(str(self.config))} "$@"\n')
                shim.chmod(0o755)

    def write_hosts(self, network: Network, host_keys: Mapping[str, str]) -> None:
        """Write the configuration and the known keys of hosts by name."""
        known, blocks = [], []
        for name, key in host_keys.items():
            address = network.address(name)
            known += [f"{address} {key}\n", f"{name} {key}\n"]
            blocks.append(f"Host {name}\n  HostName {address}\n  HostKeyAlias {address}\n\n")
        settings = CONFIG.format(
            pattern=network.pattern,
            names=" ".join(host_keys),
            key=self.key,
            known_hosts=self.known_hosts,
        )
        self.known_hosts.write_text("".join(known))
        self.config.write_text("".join(blocks) + settings)

    def remove(self) -> None:
        """Delete the files."""
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.rmtree(self.bin, ignore_errors=True)

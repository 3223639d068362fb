"""The user's side of SSH in tests: a home with a configuration, and an `ssh` that reads it."""

from __future__ import annotations

import getpass
import os
import shutil
from pathlib import Path

import pytest

from kernelext.hosts import resolve_ssh
from kernelext.hosts.sshconfig import SshTarget
from kernelext.link.ssh import SshConnection
from tests.link.sshd import Sshd


class SshClient:
    """A home of its own; the wrapper stands in for a password database that names it."""

    def __init__(self, folder: Path) -> None:
        real = shutil.which("ssh")
        if real is None:
            pytest.skip("no ssh here (Debian: openssh-client)")
        self.home = folder / "home"
        self.config = self.home / ".ssh" / "config"
        self.config.parent.mkdir(parents=True)
        wrapper = folder / "bin" / "ssh"
        wrapper.parent.mkdir()
        wrapper.write_text(f'#!/bin/sh\nexec {real} -F {self.config} "$@"\n')
        wrapper.chmod(0o755)
        self.environ = {
            "HOME": str(self.home),
            "PATH": f"{wrapper.parent}:{os.environ['PATH']}",
            "USER": getpass.getuser(),
            "KERNELEXT_CONFIG": str(self.home / "kernelext.toml"),
            "KERNELEXT_DATA": str(folder / "data"),
        }

    def write(self, servers: dict[str, Sshd], settings: str = "") -> None:
        """Write an alias a server; lines of `settings` win over ours."""
        blocks = [settings]
        for name, sshd in servers.items():
            blocks.append(
                f"Host {name}\n  HostName 127.0.0.1\n  Port {sshd.port}\n"
                f"  IdentityFile {sshd.client_key}\n  UserKnownHostsFile {sshd.known_hosts}\n"
            )
        blocks.append("Host *\n  IdentitiesOnly yes\n  IdentityAgent none\n")
        self.config.write_text("\n".join(blocks))

    def resolve(self, name: str) -> SshTarget:
        """What `ssh -G` says."""
        return resolve_ssh(name, self.environ)

    def open(self, name: str) -> SshConnection:
        """Log in as kernelext would."""
        return SshConnection.open(name, self.resolve(name), resolve=self.resolve)

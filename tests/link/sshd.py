"""A real sshd on the loopback, for tests: a child process with its own configuration and keys."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kernelext.hosts.sshconfig import SshTarget
from kernelext.link.known_hosts import lookup_name

SSHD = shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
COMMON = """\
ListenAddress 127.0.0.1
PidFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
PermitRootLogin yes
"""


def make_key(file: Path, kind: str = "ed25519", passphrase: str = "") -> Path:
    """Write a key pair and return its private half."""
    command = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "test", "-f", str(file)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return file


def public_key(file: Path) -> tuple[str, str]:
    """Return type and base64 of a key pair's public half."""
    kind, key = Path(f"{file}.pub").read_text().split()[:2]
    return kind, key


class Sshd:
    """A running sshd.

    Parameters
    ----------
    folder : Path
        For its files.
    host_keys, client_keys : list of Path
        The client keys may log in; targets offer the first of them.
    settings : str
        Lines of the configuration that win over ours.
    """

    def __init__(
        self, folder: Path, host_keys: list[Path], client_keys: list[Path], *settings: str
    ) -> None:
        if SSHD is None:
            pytest.skip("no sshd here (Debian: openssh-server)")
        folder.mkdir(parents=True, exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.name = lookup_name("127.0.0.1", self.port)
        self.client_key = client_keys[0]
        self.known_hosts = folder / "known_hosts"
        self.known_hosts.write_text(
            "".join(f"{self.name} {' '.join(public_key(key))}\n" for key in host_keys)
        )
        authorized = folder / "authorized_keys"
        authorized.write_text("".join(" ".join(public_key(key)) + "\n" for key in client_keys))
        config = folder / "sshd_config"
        lines = [*settings, f"Port {self.port}", f"AuthorizedKeysFile {authorized}"]
        lines += [f"SetEnv HOME={folder}"]  # else commands begin with the developer's .bashrc
        lines += [f"HostKey {key}" for key in host_keys]
        config.write_text("\n".join(lines) + "\n" + COMMON)
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.process = subprocess.Popen(
            [SSHD, "-D", "-e", "-f", str(config)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        said = ""
        while "Server listening" not in said:
            line = self.process.stderr.readline()
            assert line, f"sshd does not start: {said}"
            said += line

    def target(self, **changes: Any) -> SshTarget:
        """How to reach it."""
        fields: dict[str, Any] = {
            "target": "here",
            "hostname": "127.0.0.1",
            "port": self.port,
            "user": getpass.getuser(),
            "identity_files": (self.client_key,),
            "identity_agent": "none",
            "known_hosts_files": (self.known_hosts,),
        }
        return SshTarget(**{**fields, **changes})

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it and to what serves its connections, by their ids."""
        found = [self.process.pid]
        for pid in found:
            with contextlib.suppress(OSError):
                found += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def close(self) -> None:
        """End it and all that it has started."""
        if self.process.poll() is None:
            self.signal(signal.SIGSTOP)  # so that none of them starts another meanwhile
            self.signal(signal.SIGKILL)
        self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()

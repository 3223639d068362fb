"""Where it is measured: lab hosts, a user's folders, projects of many files, a notebook."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ..contract.conftest import wait_until
from ..contract.notebook import Notebook
from ..lab.commands import say
from ..lab.host import Host
from ..lab.lab import Lab, default_cache, default_state
from ..lab.statefiles import locked

IMAGE = "kernelext-lab:dev"
HOST_COUNT = 3
SLOTS = 2
RACY_S = 2.1  # younger files are read again: bundle/statcache.py
FILES_A_FOLDER = 50
QUIET_SHARE = 0.1
QUIET_S = 0.25
PATIENCE_S = 5.0  # for others who use the machine


class Scene:
    """What all measurements share.

    Parameters
    ----------
    lab : Lab
    folder : Path
        For everything that is written on this side.
    """

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab = lab
        self.hosts: list[Host] = lab.hosts()[:HOST_COUNT]
        self.folder = folder
        self.data = folder / "data"
        self.config = folder / "config" / "kernelext.toml"  # above no project: it is not theirs
        self.notebook: Notebook
        self._made_at: dict[Path, float] = {}

    def environment(self) -> dict[str, str]:
        """Return what the user's environment has beside or instead of this process's."""
        return {
            **self.lab.environment(),
            "KERNELEXT_DATA": str(self.data),
            "KERNELEXT_CONFIG": str(self.config),
            "IPYTHONDIR": str(self.folder / "ipython"),
        }

    def enter_project(self, file_count: int, name: str = "project") -> Path:
        """Make the notebook's folder a project of so many files; the first time it is made."""
        path = self.folder / f"{name}{file_count}"
        if not path.exists():
            make_project(path, file_count)
            self._made_at[path] = time.monotonic()
        age_s = time.monotonic() - self._made_at[path]
        time.sleep(max(0.0, RACY_S - age_s))
        os.chdir(path)
        return path

    def host(self, name: str) -> Host:
        """Return a host by its name."""
        return next(host for host in self.hosts if host.name == name)

    def settle(self, host_count: int = 1) -> None:
        """Wait until the first hosts are done with the runs before: they share these cores."""
        for host in self.hosts[:host_count]:
            wait_until(partial(_is_clean, host), f"{host.name} to remove containers")
        deadline_s = time.monotonic() + PATIENCE_S
        while busy_share(QUIET_S) > QUIET_SHARE and time.monotonic() < deadline_s:
            pass

    def end_daemons(self, host: Host) -> None:
        """End kernelext's daemon on a host, as a power cut would."""
        listed = host.exec("docker", "ps", "-aq", "--filter", "label=kernelext.daemon")
        if listed.stdout.split():
            host.exec("docker", "rm", "-f", *listed.stdout.split())


def busy_share(over_s: float) -> float:
    """Return which part of the machine's cores was at work over some seconds."""
    cores = os.cpu_count() or 1
    before = os.times().elapsed, _idle_s()
    time.sleep(over_s)
    return 1 - (_idle_s() - before[1]) / (os.times().elapsed - before[0]) / cores


def _idle_s() -> float:
    words = Path("/proc/stat").read_text().split("\n", 1)[0].split()  # proc(5): idle, iowait
    return (int(words[4]) + int(words[5])) / os.sysconf("SC_CLK_TCK")


def _is_clean(host: Host) -> bool:
    listed = host.exec("docker", "ps", "-aq", "--filter", "label=kernelext.container")
    return not listed.stdout.strip()


@contextlib.contextmanager
def set_scene() -> Iterator[Scene]:
    """Boot the lab, where it does not run, and leave everything as it was found."""
    lab = Lab(default_state(), default_cache())
    with locked(default_state() / "session.lock"), contextlib.ExitStack() as stack:
        ran_before = any(host.running for host in lab.hosts())
        if not ran_before:
            lab.down(purge=True)  # disks of an earlier session
            stack.callback(lab.down, purge=True)
        say("bench: hosts")
        lab.up(HOST_COUNT)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kernelext-bench-")))
        scene = Scene(lab, folder)
        for host in scene.hosts:
            stack.callback(scene.end_daemons, host)
        write_config(scene.config, scene.hosts)
        stack.callback(os.chdir, Path.cwd())
        stack.enter_context(_environment(scene.environment()))
        scene.notebook = stack.enter_context(Notebook())
        scene.notebook.check("x = 1")
        yield scene


@contextlib.contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def write_config(path: Path, hosts: list[Host]) -> None:
    """Write the user's file: every host with the lab's image and two slots."""
    tables = [f'[hosts.{host.name}]\nimage = "{IMAGE}"\nslots = {SLOTS}\n' for host in hosts]
    path.parent.mkdir()
    path.write_text("\n".join(tables))


def make_project(path: Path, file_count: int) -> None:
    """Make a Git repository of source files of some 3 KB, which no host has seen before."""
    salt = secrets.token_hex(8)
    for number in range(file_count):
        folder = path / f"part{number // FILES_A_FOLDER:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        lines = [f"VALUE_{line} = '{salt}-{number}-{line}'" for line in range(80)]
        (folder / f"module{number:04d}.py").write_text("\n".join(lines) + "\n")
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@example.org"]
    for words in (["init", "-q"], ["add", "--all"], [*identity, "commit", "-q", "-m", "Files"]):
        subprocess.run(["git", "-C", str(path), *words], check=True, capture_output=True)

"""Where mistakes are made: full disks, foreign images, logins that may not."""

from __future__ import annotations

import contextlib
import io
import json
import sqlite3
import struct
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ..lab.archive import Image, Layer, write_archive
from ..lab.host import Host
from ..lab.lab import Lab
from .conftest import check_nothing_left
from .test_hosts import add_user, remove_daemons

HOST = "host01"
STATE_DIR = "/var/lib/kernelext"
FOREIGN_TAG = "foreign:dev"
ARM64 = 183  # of an ELF header


class ForeignImage(Image):
    """An image of another machine."""

    def config(self) -> bytes:
        """Return the configuration, with the other architecture."""
        return json.dumps({**json.loads(super().config()), "architecture": "arm64"}).encode()


@dataclass(frozen=True)
class Scene:
    """Where a mistake is made."""

    folder: Path
    patch: pytest.MonkeyPatch
    lab: Lab | None  # None on `local`

    @property
    def host(self) -> Host:
        """The lab's host."""
        assert self.lab is not None
        return self.lab.host(HOST)


Arrange = Callable[[Scene], AbstractContextManager[None]]


@contextlib.contextmanager
def as_it_is(_: Scene) -> Iterator[None]:
    """Change nothing."""
    yield


@contextlib.contextmanager
def small_host_disk(scene: Scene, size_mb: int = 6) -> Iterator[None]:
    """Give the daemon a small disk."""
    host = scene.host
    remove_daemons(host)
    host.exec("mkdir", "-p", STATE_DIR)
    host.exec("mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", STATE_DIR)
    try:
        yield
        check_nothing_left(host)
    finally:
        remove_daemons(host)
        host.exec("umount", STATE_DIR)


def data_folder(options: str) -> Arrange:
    """Put the user's data folder on a disk of its own."""

    @contextlib.contextmanager
    def arrange(scene: Scene) -> Iterator[None]:
        folder = scene.folder / "data"
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
        scene.patch.setenv("KERNELEXT_DATA", str(folder))
        try:
            yield
        finally:
            subprocess.run(["umount", folder], check=True)

    return arrange


@contextlib.contextmanager
def newer_history(scene: Scene) -> Iterator[None]:
    """Have a history that a later version has written; it stays as it is."""
    folder = scene.folder / "data"
    folder.mkdir()
    file = folder / "history.sqlite"
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE runs (id TEXT, colour TEXT)")
        database.execute("PRAGMA user_version = 99")
    before = file.read_bytes()
    scene.patch.setenv("KERNELEXT_DATA", str(folder))
    yield
    assert file.read_bytes() == before
    assert [path.name for path in folder.iterdir()] == [file.name]


@contextlib.contextmanager
def foreign_image(scene: Scene) -> Iterator[None]:
    """Load an image whose Python is another machine's."""
    header = b"\x7fELF\2\1\1".ljust(16, b"\0") + struct.pack("<HHI", 2, ARM64, 1).ljust(48, b"\0")
    layer = scene.folder / "layer.tar"
    with tarfile.open(layer, "w") as out:
        member = tarfile.TarInfo("usr/bin/python3")
        member.size, member.mode = len(header), 0o755
        out.addfile(member, io.BytesIO(header))
    archive = scene.folder / "foreign.tar"
    write_archive([ForeignImage(FOREIGN_TAG, (Layer.of(layer),))], archive)
    with archive.open("rb") as stream:
        scene.host.exec("docker", "load", stdin=stream)
    yield
    scene.host.exec("docker", "rmi", FOREIGN_TAG)


@contextlib.contextmanager
def login_without_docker(scene: Scene) -> Iterator[None]:
    """Let somebody log in who may not use Docker."""
    assert scene.lab is not None
    add_user(scene.host, "plain", scene.lab.ssh.public_key)
    yield
    scene.host.exec("userdel", "-rf", "plain")

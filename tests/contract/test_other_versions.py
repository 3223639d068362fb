"""A daemon of another version that has something to do: what it does not know is said."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernelext.errors import DaemonError
from kernelext.hosts.config import HostConfig
from kernelext.link import HostLink
from kernelext.link.archive import code_archive

from .conftest import wait_until
from .test_daemon_restart import retire, submit_sleep, wait_listening

Change = tuple[str, str, str]
NO_IMAGES: Change = ("daemon/service.py", '"images": self._images,', "")
OTHER_PROTOCOL: Change = ("models.py", "PROTOCOL_VERSION = ", "PROTOCOL_VERSION = 1000 + ")


def other_code(change: Change) -> bytes:
    """Our code, as another version has it."""
    name, old, new = change
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(code_archive().data)) as own,
        zipfile.ZipFile(packed, "w") as to,
    ):
        for member in own.infolist():
            text = own.read(member)
            if member.filename == f"kernelext/{name}":
                assert old.encode() in text
                text = text.replace(old.encode(), new.encode())
            to.writestr(member, text)
    return packed.getvalue()


@pytest.fixture
def link(tmp_path: Path) -> Iterator[HostLink]:
    """To `local`, with a state directory of its own; not connected."""
    made = HostLink(HostConfig("local"), {}, tmp_path / "state")
    yield made
    made.close()
    with contextlib.suppress(Exception):
        retire(tmp_path / "state")


@contextlib.contextmanager
def busy_daemon(state_dir: Path, change: Change) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon of another version, with a run of a second."""
    state_dir.mkdir()
    path = state_dir / "code.zip"
    path.write_bytes(other_code(change))
    argv = [sys.executable, "-I", "-S", str(path), "daemon", "--engine", "process"]
    argv += ["--state", str(state_dir), "--secrets", str(state_dir / "secrets"), "--code", "other"]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_listening(state_dir)
        submit_sleep(state_dir)
        yield process
    finally:
        process.kill()
        process.wait()


def test_unknown_request_names_the_run_that_it_waits_for(link: HostLink, tmp_path: Path) -> None:
    with busy_daemon(tmp_path / "state", NO_IMAGES) as other:
        link.connect()
        with pytest.raises(DaemonError, match=r"another version.*done with the run other: wait"):
            link.images()
        assert other.poll() is None

        def is_answered() -> bool:
            with contextlib.suppress(DaemonError):
                return link.images() == []
            return False

        wait_until(is_answered, "the run to end, and our own daemon to come")
        assert other.wait(5) == 0


def test_other_protocol_names_the_run_that_it_waits_for(link: HostLink, tmp_path: Path) -> None:
    with busy_daemon(tmp_path / "state", OTHER_PROTOCOL) as other:
        with pytest.raises(DaemonError, match=r"another version.*done with the run other: wait"):
            link.connect()

        def is_connected() -> bool:
            with contextlib.suppress(DaemonError):
                return bool(link.connect().cores)
            return False

        wait_until(is_connected, "the run to end, and our own daemon to come")
        assert other.wait(5) == 0

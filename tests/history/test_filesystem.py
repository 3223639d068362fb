"""On a network's file system the history does without what needs one machine."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from kernelext.history import History, RunRow
from kernelext.history.database import Database
from kernelext.history.filesystem import is_on_network

MakeRun = Callable[..., RunRow]

TABLE = r"""/dev/vda / ext4 rw,relatime 0 0
proc /proc proc rw 0 0
homes:/export /srv/home nfs4 rw,vers=4.2 0 0
/dev/vdb /srv/home/local ext4 rw 0 0
auto.work /srv/work autofs rw 0 0
work:/ /srv/work nfs rw 0 0
//nas/my\040files /srv/my\040files cifs rw 0 0
me@host:/ /srv/far fuse.sshfs rw 0 0
homes:/export /srv/hidden nfs4 rw 0 0
/dev/vdc /srv/hidden ext4 rw 0 0
broken
"""


@pytest.fixture
def mounts(tmp_path: Path) -> Path:
    """A table of mounts, as the kernel writes it."""
    table = tmp_path / "mounts"
    table.write_text(TABLE)
    return table


@pytest.mark.parametrize(
    ("path", "is_shared"),
    [
        ("/etc/history.sqlite", False),
        ("/srv/home/me/history.sqlite", True),
        ("/srv/home/local/me/history.sqlite", False),
        ("/srv/homeless/history.sqlite", False),
        ("/srv/work/history.sqlite", True),
        ("/srv/my files/history.sqlite", True),
        ("/srv/far/history.sqlite", True),
        ("/srv/hidden/history.sqlite", False),
    ],
)
def test_innermost_mount_decides(mounts: Path, path: str, is_shared: bool) -> None:
    assert is_on_network(Path(path), mounts) == is_shared


def test_link_is_followed(mounts: Path, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to("/srv/home/me")
    assert is_on_network(tmp_path / "data" / "history.sqlite", mounts)


def test_own_table_is_read(tmp_path: Path) -> None:
    assert not is_on_network(tmp_path)


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A table that has this test's folder on another machine."""
    table = tmp_path / "network"
    table.write_text(f"/dev/vda / ext4 rw 0 0\nnas:/ {tmp_path} nfs4 rw 0 0\n")
    return table


def journal_mode(path: Path) -> str:
    """Return how a file is written, as every program sees it."""
    with closing(sqlite3.connect(path)) as database:
        return str(database.execute("PRAGMA journal_mode").fetchone()[0])


def test_history_on_a_network_has_no_write_ahead_log(
    tmp_path: Path, network: Path, make_run: MakeRun
) -> None:
    path = tmp_path / "history.sqlite"
    with History(Database(path, network)) as history, History(Database(path, network)) as other:
        history.add_run(make_run("run"), ["0"])
        assert [row.id for row in other.runs()] == ["run"]
        assert not path.with_name("history.sqlite-wal").exists()
        assert not path.with_name("history.sqlite-shm").exists()
    assert journal_mode(path) == "delete"


def test_history_that_moved_to_a_network_keeps_its_rows(
    tmp_path: Path, network: Path, make_run: MakeRun
) -> None:
    path = tmp_path / "history.sqlite"
    with History.open(path) as history:
        history.add_run(make_run("run"), ["0"])
    assert journal_mode(path) == "wal"
    with History(Database(path, network)) as history:
        assert [row.id for row in history.runs()] == ["run"]
    assert journal_mode(path) == "delete"

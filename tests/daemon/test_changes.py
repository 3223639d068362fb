"""A layer of what a container has changed: the same bytes, whoever tells of it and when."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from kernelext.daemon.changes import write_layer
from kernelext.errors import EngineError
from kernelext.recipe import EPOCH_S

CHANGED, ADDED, DELETED = range(3)
CAPABLE = {"SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00\x20"}


def member(name: str, kind: bytes = tarfile.REGTYPE, **facts: Any) -> tarfile.TarInfo:
    """Describe a file of a container."""
    found = tarfile.TarInfo(name)
    found.type, found.mtime, found.uname = kind, 1_700_000_000.5, "somebody"  # type: ignore[assignment]
    found.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    for key, value in facts.items():
        setattr(found, key, value)
    return found


def folder(name: str, **facts: Any) -> tarfile.TarInfo:
    return member(name, tarfile.DIRTYPE, **facts)


def export(members: Iterable[tarfile.TarInfo]) -> io.BytesIO:
    """Pack a container's files; each regular one holds its own name."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for each in members:
            data = each.name.encode() if each.isreg() else b""
            each.size = len(data)
            tar.addfile(each, io.BytesIO(data))
    out.seek(0)
    return out


def layer(tmp_path: Path, changes: dict[str, int], members: list[tarfile.TarInfo]) -> bytes:
    told = [{"Path": path, "Kind": kind} for path, kind in changes.items()]
    write_layer(told, export(members), tmp_path / "layer", io.BytesIO())
    return (tmp_path / "layer").read_bytes()


def read(data: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data + bytes(1024))) as tar:
        return {each.name: each for each in tar}


def test_changed_files_with_the_folders_that_lead_to_them(tmp_path: Path) -> None:
    members = [folder("etc"), folder("usr"), folder("usr/bin", mode=0o775, gid=7)]
    members += [member("etc/same"), member("usr/bin/new", mode=0o4755, uid=3, gid=4)]
    members += [member("usr/bin/link", tarfile.SYMTYPE, linkname="new"), folder("usr/empty")]
    changes = {"/usr": CHANGED, "/usr/bin": CHANGED, "/etc": CHANGED}
    changes |= {"/usr/bin/new": ADDED, "/usr/bin/link": ADDED, "/usr/empty": ADDED}
    found = read(layer(tmp_path, changes, members))
    assert list(found) == ["usr", "usr/bin", "usr/bin/link", "usr/bin/new", "usr/empty"]
    new = found["usr/bin/new"]
    assert (new.mode, new.uid, new.gid, new.uname) == (0o4755, 3, 4, "")
    assert (found["usr/bin"].mode, found["usr/bin"].gid) == (0o775, 7)
    assert found["usr/bin/link"].linkname == "new"
    assert {each.mtime for each in found.values()} == {EPOCH_S}


def test_order_and_dates_do_not_matter(tmp_path: Path) -> None:
    names = ["a-b", "a/c", "b"]
    members = [folder("a"), *(member(name) for name in names)]
    later = [folder("a", mtime=5), *(member(name, mtime=7) for name in reversed(names))]
    changes = {f"/{name}": ADDED for name in names}
    reversed_changes = dict(reversed([("/a", CHANGED), *changes.items()]))
    assert layer(tmp_path, changes, members) == layer(tmp_path, reversed_changes, later)


def test_deletions_are_whiteouts(tmp_path: Path) -> None:
    members = [folder("etc"), folder("opt"), folder("opt/again"), member("opt/again/file")]
    changes = {"/etc/gone": DELETED, "/opt/again": DELETED, "/opt/again/file": ADDED}
    changes |= {"/tmp/gone": DELETED, "/var/log/gone": DELETED}
    found = read(layer(tmp_path, changes, members))
    whiteouts = [name for name in found if "/.wh." in name]
    assert whiteouts == ["etc/.wh.gone", "opt/again/.wh..wh..opq"]
    assert "opt/again/file" in found


def test_without_logs_caches_and_what_the_engine_made(tmp_path: Path) -> None:
    names = ["var/log/dpkg.log", "var/cache/ldconfig/aux-cache", "var/lib/dpkg/status-old"]
    names += ["var/cache/debconf/config.dat-old", "tmp/x", "run/x", "etc/hosts", "etc/hostname"]
    names += ["usr/lib/__pycache__/a.pyc", "kernelext/build/x", ".dockerenv", "etc/machine-id"]
    kept = ["var/cache/debconf/config.dat", "var/lib/dpkg/status", "etc/hosts.allow"]
    members = [folder("var/log/own"), *(member(name) for name in [*names, *kept])]
    changes = {f"/{each.name}": ADDED for each in members}
    assert sorted(read(layer(tmp_path, changes, members))) == sorted([*kept, "var/log/own"])


def test_hard_links_and_extended_attributes(tmp_path: Path) -> None:
    members = [folder("bin"), member("bin/b", pax_headers=CAPABLE)]
    members += [member("bin/a", tarfile.LNKTYPE, linkname="bin/b")]
    data = layer(tmp_path, {"/bin/a": ADDED, "/bin/b": ADDED}, members)
    found = read(data)
    assert found["bin/a"].isreg()
    assert (found["bin/b"].type, found["bin/b"].linkname) == (tarfile.LNKTYPE, "bin/a")
    assert found["bin/a"].size == len("bin/b")
    assert found["bin/b"].pax_headers == CAPABLE
    with pytest.raises(EngineError, match="a hard link to /bin/b, which the image below has"):
        layer(tmp_path, {"/bin/a": ADDED}, members)

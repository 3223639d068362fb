"""Folders as people have them: links, odd names, files that come and go."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from kernelext.bundle import Snapshot, StatCache, take_snapshot

LATER_NS = 10**19


def snap(root: Path, cache: StatCache | None = None) -> Snapshot:
    return take_snapshot(root, cache or StatCache(), LATER_NS, 10**9)


def paths(snapshot: Snapshot) -> list[str]:
    return [entry.path for entry in snapshot.files]


def test_link_to_a_folder_of_the_project_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "runs" / "one").mkdir(parents=True)
    (tmp_path / "runs" / "one" / "a").write_text("a")
    (tmp_path / "runs" / "latest").symlink_to("one")
    (tmp_path / "runs" / "absolute").symlink_to(tmp_path / "runs" / "one")
    (tmp_path / "runs" / "one" / "up").symlink_to("../..")
    found = snap(tmp_path)
    links = {entry.path: entry.link for entry in found.files if entry.link}
    assert links == {"runs/latest": "one", "runs/absolute": "one", "runs/one/up": "../.."}
    assert [entry["path"] for entry in json.loads(found.manifest)] == paths(found)


def test_link_to_a_folder_elsewhere_is_followed(tmp_path: Path) -> None:
    project, disk = tmp_path / "project", tmp_path / "disk"
    (disk / "deep").mkdir(parents=True)
    project.mkdir()
    (disk / "deep" / "a").write_text("a")
    (disk / "deep" / "again").symlink_to(disk)
    (disk / "home").symlink_to(project)
    (project / "data").symlink_to(disk)
    found = snap(project)
    assert paths(found) == ["data/deep/a", "data/home"]
    assert found.left == (("data/deep/again", f"it leads in a circle, to {disk}"),)
    assert found.read(found.files[0].chunks[0].digest) == b"a"


def test_link_above_the_project_is_said(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "up").symlink_to(tmp_path)
    (project / "nowhere").symlink_to("absent")
    found = snap(project)
    assert (paths(found), [path for path, _ in found.left]) == ([], ["up"])


def test_link_to_a_file_travels_as_the_file(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (tmp_path / "words.txt").write_text("words")
    (project / "a.txt").symlink_to(tmp_path / "words.txt")
    found = snap(project)
    assert found.files[0].link is None
    assert found.read(found.files[0].chunks[0].digest) == b"words"


@pytest.mark.parametrize("name", ["two words", "größe", "数据.csv", "a\nb", "back\\slash", "-rf"])
def test_names_of_all_letters_travel(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x")
    assert [entry["path"] for entry in json.loads(snap(tmp_path).manifest)] == [name]


def test_name_that_is_not_utf8_travels(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    (tmp_path / name).write_text("x")
    assert [entry["path"] for entry in json.loads(snap(tmp_path).manifest)] == [name]


def test_special_files_stay(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a").write_text("")
    assert paths(snap(tmp_path)) == ["a"]


def test_files_that_come_go_and_change_kind_are_seen(tmp_path: Path) -> None:
    cache = StatCache()
    (tmp_path / "a").write_text("")
    assert paths(snap(tmp_path, cache)) == ["a"]
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c").write_text("")
    assert paths(snap(tmp_path, cache)) == ["a", "b/c"]
    (tmp_path / "a").unlink()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "d").write_text("")
    (tmp_path / "b" / "c").unlink()
    (tmp_path / "b").rmdir()
    (tmp_path / "b").symlink_to("a")
    found = snap(tmp_path, cache)
    assert [(entry.path, entry.link) for entry in found.files] == [("a/d", None), ("b", "a")]

"""Folders as people have them: links, odd names, files that come and go."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from kernelext.bundle import Snapshot, StatCache, survey_project, take_snapshot
from kernelext.errors import SecretsFound

from .audit import audited

LATER_NS = 10**19  # long after anything was written
SOON_NS = 1  # before it: whatever was found may change again unseen


def snap(root: Path, cache: StatCache | None = None, now_ns: int = LATER_NS) -> Snapshot:
    return take_snapshot(root, cache or StatCache(), now_ns, 10**9)


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
    assert paths(snap(tmp_path, cache, SOON_NS)) == ["a"]
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c").write_text("")
    assert paths(snap(tmp_path, cache, SOON_NS)) == ["a", "b/c"]
    (tmp_path / "a").unlink()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "d").write_text("")
    (tmp_path / "b" / "c").unlink()
    (tmp_path / "b").rmdir()
    (tmp_path / "b").symlink_to("a")
    found = snap(tmp_path, cache, SOON_NS)
    assert [(entry.path, entry.link) for entry in found.files] == [("a/d", None), ("b", "a")]


def write(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (".kube", "config"),
        (".kube/deep", "config"),
        (".docker", "config.json"),
        (".config", "gh/hosts.yml"),
        (".cache/huggingface", "token"),
    ],
)
def test_secret_in_a_folder_behind_a_link_needs_a_rule(
    tmp_path: Path, target: str, name: str
) -> None:
    real = write(tmp_path / target / name)
    (tmp_path / "clone").mkdir()
    (tmp_path / "clone" / "stuff").symlink_to(f"../{target}")
    with pytest.raises(SecretsFound) as caught:
        snap(tmp_path / "clone")
    assert caught.value.files == {f"stuff/{name}": f"links to {real}"}
    refusal = survey_project(tmp_path / "clone").refusal
    assert refusal
    assert refusal.files == caught.value.files


def test_link_that_now_leads_to_a_secret_is_seen(tmp_path: Path) -> None:
    for folder in (".kube", "harmless"):
        write(tmp_path / folder / "config")
    root = tmp_path / "clone"
    root.mkdir()
    (root / "stuff").symlink_to("../harmless")
    cache = StatCache()
    assert paths(snap(root, cache)) == ["stuff/config"]
    (root / "stuff").unlink()
    (root / "stuff").symlink_to("../.kube")
    with pytest.raises(SecretsFound, match="stuff/config"):
        snap(root, cache)


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("notes.txt", ".git/config"),
        ("notes", ".git"),
        ("words.txt", "ignored/words.txt"),
        ("words", "ignored"),
        ("python", "env/bin/python"),
        ("deep/words.txt", "../ignored/words.txt"),
    ],
)
def test_link_to_what_stays_at_home_stays_too(tmp_path: Path, link: str, target: str) -> None:
    write(tmp_path / ".gitignore", "ignored/\n")
    for path in (".git/config", "ignored/words.txt", "env/pyvenv.cfg", "env/bin/python"):
        write(tmp_path / path)
    (tmp_path / link).parent.mkdir(exist_ok=True)
    (tmp_path / link).symlink_to(target)
    found = snap(tmp_path)
    assert paths(found) == [".gitignore"]
    says = f"it links to {target.removeprefix('../')}, which stays at home"
    assert found.left == ((link, says),)
    assert survey_project(tmp_path).stays[link] == says


def test_link_to_what_docker_rules_bring_back_travels(tmp_path: Path) -> None:
    write(tmp_path / ".dockerignore", "data\n!data/a\n")
    for name in ("a", "b"):
        write(tmp_path / "data" / name)
        (tmp_path / f"to-{name}").symlink_to(f"data/{name}")
    found = snap(tmp_path)
    assert paths(found) == [".dockerignore", "data/a", "to-a"]
    assert [path for path, _ in found.left] == ["to-b"]


def test_link_to_what_never_travels_elsewhere_stays(tmp_path: Path) -> None:
    root = tmp_path / "venv" / "clone"  # what lies above both does not count
    root.mkdir(parents=True)
    real = write(tmp_path / "venv" / "other" / ".git" / "config")
    write(tmp_path / "venv" / "other" / "words.txt")
    (root / "notes.txt").symlink_to(real)
    (root / "git").symlink_to(real.parent)
    (root / "words.txt").symlink_to("../other/words.txt")
    found = snap(root)
    assert paths(found) == ["words.txt"]
    assert dict(found.left) == {
        "notes.txt": f"it links to {real}, which never travels",
        "git": f"it links to {real.parent}, which never travels",
    }


def test_content_that_git_annex_keeps_travels(tmp_path: Path) -> None:
    write(tmp_path / ".git" / "annex" / "objects" / "aa" / "key", "content")
    (tmp_path / "table.csv").symlink_to(".git/annex/objects/aa/key")
    found = snap(tmp_path)
    assert paths(found) == ["table.csv"]
    assert found.read(found.files[0].chunks[0].digest) == b"content"


def test_link_to_an_output_folder_travels_though_that_is_ignored(tmp_path: Path) -> None:
    write(tmp_path / ".gitignore", "data/\n")
    write(tmp_path / "data" / "output" / "a")
    (tmp_path / "out").symlink_to("data/output")
    (tmp_path / "a").symlink_to("data/output/a")
    found = snap(tmp_path)
    assert [(entry.path, entry.link) for entry in found.files if entry.path != ".gitignore"] == [
        ("out", "data/output")
    ]
    assert [path for path, _ in found.left] == ["a"]


def test_folder_that_is_gone_when_it_is_looked_at_is_left_out(tmp_path: Path) -> None:
    write(tmp_path / "a")
    (tmp_path / "gone").mkdir()

    def remove(path: str) -> None:
        if path == str(tmp_path / "gone"):
            (tmp_path / "gone").rmdir()

    with audited("os.scandir", remove):
        assert paths(snap(tmp_path)) == ["a"]

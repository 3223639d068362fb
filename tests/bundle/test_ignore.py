"""Which files stay at home: Git's rules as Git applies them, Docker's as Docker does."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kernelext.bundle import StatCache, take_snapshot
from kernelext.bundle.dockerignore import DockerRules

LATER_NS = 10**19


def fill(root: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def travels(root: Path, cache: StatCache | None = None) -> set[str]:
    found = take_snapshot(root, cache or StatCache(), LATER_NS, 10**9)
    return {entry.path for entry in found.files}


# What `docker build` leaves out, by its reference and by moby/patternmatcher's own tests.
@pytest.mark.parametrize(
    ("lines", "ignored", "kept"),
    [
        ("data", "data/a data/b/c", "src/data data.csv"),  # Git would ignore src/data
        ("/data", "data/a", "src/data"),
        ("data/", "data data/a", "src/data/a"),
        ("*.csv", "a.csv", "data/a.csv"),  # Git would ignore data/a.csv
        ("**/*.csv", "a.csv data/b/a.csv", "a.csvx"),
        ("*/temp*", "a/temp a/temporary.txt a/temp/x", "temp a/b/temp"),
        ("*/*/temp*", "a/b/temp", "a/temp a/b/c/temp"),
        ("temp?", "tempa", "temp tempab a/tempa"),
        ("data/**", "data/a data/b/c", "data datas/a"),
        ("data/**/a", "data/a data/b/a data/b/c/a", "data/b/c"),
        ("**", "a b/c", ""),
        ("*\n!keep.py", "a b/c b/keep.py", "keep.py"),
        ("data\n!data/input", "data/a data/x/input", "data/input data/input/a"),
        ("data\n!data/input/*.csv", "data/input/a.txt", "data/input/a.csv"),
        ("!data/a\ndata", "data/a", "b"),  # the last one decides
        ("data\n!data/a\ndata/a", "data/a data/b", "b"),
        ("# data\n\n  b  \n", "b b/c", "data # a"),
        ("./a//b/../c", "a/c", "a/b"),
        ("[ab].py", "a.py b.py", "c.py"),
        ("[^a].py", "b.py", "a.py"),
        ("a\\*b", "a*b", "axb"),
        ("a.b+(c)$", "a.b+(c)$", "aXb+(c)$"),
        ("! data\n.", "", "data"),
        ("!", "", "a"),
        ("../x", "", "x"),
    ],
)
def test_dockerignore(lines: str, ignored: str, kept: str) -> None:
    rules = DockerRules(tuple(lines.split("\n")))
    assert [path for path in ignored.split() if not rules.is_ignored(path)] == []
    assert [path for path in kept.split() if rules.is_ignored(path)] == []


def test_dockerignore_brings_back_from_an_ignored_folder(tmp_path: Path) -> None:
    fill(tmp_path, {".dockerignore": "data\n!data/input/keep.csv\nother\n"})
    fill(tmp_path, dict.fromkeys(("data/a", "data/input/keep.csv", "data/input/b"), ""))
    fill(tmp_path, {"other/x": "", "sub/.gitignore": "*\n", "sub/a": "", ".gitignore": "sub\n"})
    assert travels(tmp_path) == {
        ".dockerignore",
        ".gitignore",
        "data/input/keep.csv",
        "sub/.gitignore",
        "sub/a",
    }


GIT_FILES = {
    ".gitignore": "*.log\nbuild/\n/top\n!keep.log\n",
    "a.log": "",
    "keep.log": "",
    "build/x": "",
    "top": "",
    "sub/top": "",
    "sub/build": "",
    "sub/.gitignore": "!*.log\n/own\n*.tmp\n",
    "sub/b.log": "",
    "sub/own": "",
    "sub/deep/own": "",
    "sub/deep/c.tmp": "",
    "sub/deep/.gitignore": "!c.tmp\n",
    "build/.gitignore": "!x\n",
    "größe.log": "",
    "a b/c d.txt": "",
}


def git_lists(root: Path) -> set[str]:
    subprocess.run(["git", "-C", str(root), "init", "-q"], check=True)
    argv = ["git", "-C", str(root), "ls-files", "-z", "--others", "--exclude-standard"]
    said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    return set(said.split("\0")) - {""}


def test_gitignore_files_are_applied_as_by_git(tmp_path: Path) -> None:
    fill(tmp_path, GIT_FILES)
    assert travels(tmp_path) == git_lists(tmp_path)


def test_rules_above_the_project_and_gits_own_count(tmp_path: Path) -> None:
    fill(tmp_path, {".gitignore": "*.log\n/project/out\nproject/\n"})
    fill(tmp_path, {"project/.gitignore": "!b.log\n"})
    fill(tmp_path, {f"project/{name}": "" for name in ("a.log", "b.log", "out/x", "private", "c")})
    git_lists(tmp_path)
    (tmp_path / ".git" / "info" / "exclude").write_text("private\n")
    # The rules that ignore the project itself are left aside, else nothing would travel.
    assert travels(tmp_path / "project") >= {".gitignore", "b.log", "c"}
    assert "private" not in travels(tmp_path / "project")
    (tmp_path / ".gitignore").write_text("*.log\n/project/out\n")
    assert travels(tmp_path / "project") == {".gitignore", "b.log", "c"}


def test_changed_rules_count_at_once(tmp_path: Path) -> None:
    cache = StatCache()
    fill(tmp_path, {"sub/a.py": "", "sub/b.csv": ""})
    assert travels(tmp_path, cache) == {"sub/a.py", "sub/b.csv"}
    fill(tmp_path, {"sub/.gitignore": "*.csv\n"})
    assert travels(tmp_path, cache) == {"sub/.gitignore", "sub/a.py"}
    fill(tmp_path, {"sub/.gitignore": "*.py\n"})
    assert travels(tmp_path, cache) == {"sub/.gitignore", "sub/b.csv"}
    fill(tmp_path, {".dockerignore": "**/*.csv\n"})
    assert travels(tmp_path, cache) == {".dockerignore", "sub/.gitignore", "sub/a.py"}


def test_environments_and_caches_never_travel(tmp_path: Path) -> None:
    fill(tmp_path, {".dockerignore": "!*\n", "a.py": ""})
    fill(tmp_path, {"env310/pyvenv.cfg": "", "env310/lib/x.py": "", "conda/conda-meta/h": ""})
    fill(tmp_path, {"conda/bin/python": "", "cache/CACHEDIR.TAG": "", "cache/x": ""})
    fill(tmp_path, dict.fromkeys((".git/config", "a/__pycache__/x.pyc", "m/.git"), ""))
    fill(tmp_path, {".ipynb_checkpoints/a.ipynb": "", "node_modules/x.js": ""})
    assert travels(tmp_path) == {".dockerignore", "a.py"}

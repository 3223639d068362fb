"""What Git says of a project, by one process."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kernelext.bundle import GitFacts, git_facts

IDENTITY = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")


def git(folder: Path, *words: str) -> str:
    argv = ["git", "-C", str(folder), *IDENTITY, *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "a.py").write_text("one\n")
    git(tmp_path, "add", "a.py")
    git(tmp_path, "commit", "-q", "-m", "Begin")
    return tmp_path


def test_commit_of_a_clean_project(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    (repository / "untracked.py").write_text("not Git's\n")
    assert git_facts(repository) == GitFacts(commit, False)
    git(repository, "checkout", "-q", "--detach")
    assert git_facts(repository) == GitFacts(commit, False)


def test_changed_file_makes_it_dirty(repository: Path) -> None:
    (repository / "a.py").write_text("two\n")
    assert git_facts(repository).is_dirty is True
    git(repository, "add", "a.py")
    assert git_facts(repository).is_dirty is True


def test_no_commit_or_no_repository_gives_nothing(tmp_path: Path) -> None:
    assert git_facts(tmp_path / "absent") == GitFacts()
    git(tmp_path, "init", "-q")
    assert git_facts(tmp_path) == GitFacts()

"""Addresses of Git: where the login ends and the revision begins."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from kernelext.errors import ImageBuildError
from kernelext.image.jobs import check_nothing
from kernelext.image.repositories import check_out

from .packages import commit, git, write_package
from .wheels import serve_index

TOKEN = "tok3n@XYZ"


@pytest.mark.parametrize("login", ["ada:p@s3cr3t", "${TOKEN}", "ada:${TOKEN}"])
@pytest.mark.parametrize("revision", ["", "@v1"])
def test_login_without_a_revision_goes_to_the_host_alone(
    tmp_path: Path, login: str, revision: str
) -> None:
    with serve_index(tmp_path) as server:
        host = server.url.removeprefix("http://")
        address = f"git+http://{login}@{host}/own.git{revision}"
        with pytest.raises(ImageBuildError, match="cannot be fetched: ") as caught:
            check_out(address, tmp_path / "git", {**os.environ, "TOKEN": TOKEN}, check_nothing)
        assert server.reached.is_set(), caught.value
    text = str(caught.value)
    assert f"git+http://{host}/own.git{revision} cannot" in text
    assert not any(part in text for part in ("ada", "s3cr3t", "tok3n", "XYZ"))


def test_user_of_ssh_is_not_a_revision(tmp_path: Path) -> None:
    """Git hands the user and the path to the program that stands for ssh."""
    commit(write_package(tmp_path / "own"))
    ssh = tmp_path / "ssh"
    ssh.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/said\nexec git-upload-pack {tmp_path}/own\n'
    )
    ssh.chmod(stat.S_IRWXU)
    environ = {**os.environ, "GIT_SSH": str(ssh), "GIT_SSH_VARIANT": "simple"}
    for number, revision in enumerate(("", "@main")):
        address = f"git+ssh://git@x.example/org/own.git{revision}"
        folder = check_out(address, tmp_path / f"git{number}", environ, check_nothing)
        assert (folder / "own.py").exists()
    said = (tmp_path / "said").read_text().splitlines()
    assert {line.partition(" ")[0] for line in said} == {"git@x.example"}


def test_branch_that_looks_like_a_revision(tmp_path: Path) -> None:
    repository = write_package(tmp_path / "own")
    commit(repository)
    git(repository, "checkout", "-q", "-b", "2024")
    write_package(repository, "X = 2024\n")
    commit(repository)
    git(repository, "tag", "beef")
    git(repository, "checkout", "-q", "main")
    for name in ("2024", "beef"):
        address = f"git+{repository.as_uri()}@{name}"
        folder = check_out(address, tmp_path / name, os.environ, check_nothing)
        assert (folder / "own.py").read_text() == "X = 2024\n"

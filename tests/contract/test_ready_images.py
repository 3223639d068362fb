"""A ready image that a host does not have: from another host, or from a private registry."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernelext.errors import ImageNotFound

from ..lab.host import Host
from ..lab.images import PLAIN_TAG
from .notebook import Notebook
from .registry import PASSWORD, USER, Registry, serve_registry
from .test_failures import fail, sentence

OWN_TAG = "own-image:7"


@pytest.fixture
def own_image(lab_names: list[Host]) -> Iterator[None]:
    """An image that one host alone has."""
    lab_names[0].exec("docker", "tag", PLAIN_TAG, OWN_TAG)
    yield
    for host in lab_names:
        host.exec("docker", "rmi", OWN_TAG, check=False)


def test_absent_image_comes_from_another_host(
    lab_notebook: Notebook, lab_names: list[Host], own_image: None
) -> None:
    shown = fail(lab_notebook, f"%%remote host02 --image {OWN_TAG}\nx = 1")
    assert isinstance(shown.error, ImageNotFound)
    lab_notebook.check(f"%%remote host01 --image {OWN_TAG}\nx = 1")
    lab_notebook.check(f"%%remote host02 --image {OWN_TAG}\nx = 2")
    assert lab_notebook.names["x"] == 2
    ids = [
        host.exec("docker", "images", "-q", "--no-trunc", OWN_TAG).stdout for host in lab_names[:2]
    ]
    assert ids[0] == ids[1] != ""


@pytest.fixture
def registry(
    lab_names: list[Host], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Registry]:
    """A registry with an image that no host has; the user has not logged in."""
    folder = tmp_path / "registry"
    folder.mkdir()
    client = tmp_path / "docker"
    client.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(client))
    host = lab_names[0]
    with serve_registry(lab_names[2], folder) as served:
        for each in lab_names[:2]:
            served.trust_on(each)
        image = f"{served.name}/private:1"
        host.exec("docker", "login", "-u", USER, "-p", PASSWORD, served.name)
        host.exec("docker", "tag", PLAIN_TAG, image)
        host.exec("docker", "push", image)
        host.exec("docker", "rmi", image)
        host.exec("docker", "logout", served.name)
        host.exec("rm", "-rf", "/root/.docker")
        yield served
        for each in lab_names[:2]:
            each.exec("docker", "rmi", image, check=False)
            each.exec("rm", "-rf", f"/etc/docker/certs.d/{served.name}")


def test_private_registry_by_the_users_own_login(
    lab_notebook: Notebook, lab_names: list[Host], registry: Registry
) -> None:
    image = f"{registry.name}/private:1"
    shown = fail(lab_notebook, f"%%remote host02 --image {image}\nx = 1")
    assert isinstance(shown.error, ImageNotFound)
    assert "cannot be pulled there" in sentence(shown)
    Path(os.environ["DOCKER_CONFIG"], "config.json").write_text(registry.login())
    lab_notebook.check(f"%%remote host02 --image {image}\nx = 1")
    assert lab_notebook.names["x"] == 1
    for text in (PASSWORD, registry.login().split('"auth": "')[1].split('"')[0]):
        script = f"grep -rlF {text} /root /var/lib/kernelext /var/log /run /etc 2>/dev/null; true"
        assert not lab_names[1].exec("sh", "-c", script).stdout

"""What engines take in: only the layers that they lack, or, where containerd keeps images, all.

The lab's engine keeps its images itself. containerd, which is beside it on each host, reads the
same tars by the code that engines use which leave their images to it.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kernelext.daemon.docker_api import DockerAPI
from kernelext.daemon.docker_archive import partial_archive, whole_archive
from kernelext.daemon.docker_images import DockerImages
from kernelext.daemon.image_config import image_config
from kernelext.daemon.layers import LayerTar, WhiteoutLayer, layers_of, piece_name
from kernelext.daemon.pieces import Containers
from kernelext.models import Chunk
from kernelext.recipe import NAMESPACE, Package, Recipe, Wheel

from ..lab.host import Host
from ..lab.images import PLAIN_TAG

MADE = b"VERSION = 'sent'\n"
CTR = ("ctr", "--address", "/run/docker/containerd/containerd.sock", "--namespace", "test")


@pytest.fixture
def host(lab_names: list[Host]) -> Iterator[Host]:
    """A host on which nothing of the test stays."""
    (made, *_) = lab_names
    yield made
    images = made.exec("docker", "images", "-q", f"{NAMESPACE}/archived").stdout.split()
    made.exec("docker", "rmi", *images, check=False)
    listed = made.exec(*CTR, "images", "ls", "-q", check=False).stdout.split()
    if listed:
        made.exec(*CTR, "images", "rm", "--sync", *listed)


@pytest.fixture
def api(host: Host) -> DockerAPI:
    """The host's engine, by its socket."""
    process = host.guest.process
    assert process is not None
    return DockerAPI(f"/proc/{process.pid}/root/run/docker.sock")


@pytest.fixture
def base(api: DockerAPI) -> dict[str, Any]:
    """The base image, as the engine inspects it."""
    found: dict[str, Any] = api.call("GET", f"/images/{PLAIN_TAG}/json")
    return found


@pytest.fixture
def recipe(base: dict[str, Any], tmp_path: Path) -> Recipe:
    """Of one wheel, whose piece is there; the base has nothing of it."""
    chunk = Chunk(hashlib.sha256(bytes(tmp_path)).hexdigest(), 1)
    wheel = Wheel("sent", "1.0", "sent-1.0-py3-none-any.whl", (chunk,))
    piece = tmp_path / "pieces" / piece_name(wheel, base["Id"])
    piece.parent.mkdir()
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.GNU_FORMAT) as out:
        member = tarfile.TarInfo("usr/lib/python3/dist-packages/sent.py")
        member.size = len(MADE)
        out.addfile(member, io.BytesIO(MADE))
        size_bytes = out.offset
    piece.write_bytes(made.getvalue()[:size_bytes])
    piece.with_name(WhiteoutLayer((wheel.name,), base["Id"]).name).touch()
    return Recipe(PLAIN_TAG, base["Id"], (wheel,), "archived")


def place_nothing(package: Package, target: Path) -> None:
    """Refuse: the pieces are there."""
    raise AssertionError(f"{package.name} is asked for")


def take_in(host: Host, data: Iterator[bytes]) -> subprocess.CompletedProcess[bytes]:
    """Have containerd take an image in."""
    argv = host.guest.command(*CTR, "images", "import", "-")
    return subprocess.run(argv, input=b"".join(data), capture_output=True, check=False)


def test_containerd_takes_an_image_as_a_whole_alone(
    host: Host, api: DockerAPI, base: dict[str, Any], recipe: Recipe, tmp_path: Path
) -> None:
    (layer,) = layers_of(recipe.wheels, recipe.base_digest)
    tar = LayerTar(layer, tmp_path / "pieces")
    diff_ids = [*base["RootFS"]["Layers"], tar.diff_id()]
    config = image_config(base, recipe, diff_ids, {})
    tars = {tar.diff_id(): tar}
    size_bytes, partial = partial_archive(recipe.tag, config, diff_ids, tars)
    data = b"".join(partial)
    assert len(data) == size_bytes
    refused = take_in(host, iter([data]))
    assert b"not found" in refused.stderr
    whole = whole_archive(recipe.tag, config, api.download(f"/images/{base['Id']}/get"), tars)
    taken = take_in(host, whole)
    assert not taken.returncode, taken
    assert recipe.tag in host.exec(*CTR, "images", "ls", "-q").stdout


@pytest.mark.parametrize("takes_parts", [True, False])
def test_engine_has_the_same_image_of_parts_and_of_all(
    host: Host, api: DockerAPI, recipe: Recipe, tmp_path: Path, takes_parts: bool
) -> None:
    nothing = Containers(lambda *_: {}, lambda *_: {})
    images = DockerImages(api, tmp_path, nothing)
    folder = tmp_path / "build"
    folder.mkdir()

    def build(*, takes_parts: bool) -> str:
        return images.build(recipe, folder, place_nothing, len, takes_parts=takes_parts)

    digest = build(takes_parts=takes_parts)
    said = host.exec(
        "docker",
        "run",
        "--rm",
        recipe.tag,
        "python3",
        "-c",
        "import sent, sys; print(sent.VERSION)",
    )
    assert said.stdout == "sent\n"
    assert build(takes_parts=not takes_parts) == digest

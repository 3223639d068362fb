"""Write what `docker load` reads, without a Docker daemon."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .commands import run

CREATED = "2026-01-01T00:00:00Z"  # the same recipe gives the same image
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Layer:
    """A tar archive of files, named by its content."""

    file: Path
    digest: str

    @classmethod
    def of(cls, file: Path) -> Layer:
        """Return the layer that a tar archive is."""
        with file.open("rb") as stream:
            return cls(file, hashlib.file_digest(stream, "sha256").hexdigest())


@dataclass(frozen=True)
class Image:
    """A tag, its layers from the lowest up, and what runs by default."""

    tag: str
    layers: tuple[Layer, ...]
    path: str = SYSTEM_PATH
    command: str = "python3"

    def config(self) -> bytes:
        """Return the image's configuration as Docker stores it."""
        runtime = {
            "Env": [f"PATH={self.path}", "LANG=C.UTF-8"],
            "Cmd": [self.command],
            "WorkingDir": "/",
        }
        history = [{"created": CREATED, "created_by": "tests.lab"} for _ in self.layers]
        fields = {
            "architecture": "amd64",
            "os": "linux",
            "created": CREATED,
            "config": runtime,
            "rootfs": {
                "type": "layers",
                "diff_ids": [f"sha256:{layer.digest}" for layer in self.layers],
            },
            "history": history,
        }
        return json.dumps(fields).encode()


def pack_layer(tree: Path, file: Path, part: str, excluded: Iterable[str] = ()) -> Layer:
    """Pack a part of a tree."""
    options = [f"--exclude=./{pattern}" for pattern in excluded]
    order = ("--numeric-owner", "--sort=name")
    run("tar", "-C", tree, *order, *options, "-cf", file, part)
    return Layer.of(file)


def pack_whiteouts(paths: Iterable[str], target: Path) -> Layer:
    """Pack a layer that hides files of the layers below."""
    files = [Path(path) for path in paths]
    directories = {parent for file in files for parent in file.parents[:-1]}
    with tarfile.open(target, "w") as out:
        for directory in sorted(directories):
            member = tarfile.TarInfo(str(directory))
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            out.addfile(member)
        for file in files:
            out.addfile(tarfile.TarInfo(str(file.with_name(".wh." + file.name))))
    return Layer.of(target)


def write_archive(images: Iterable[Image], target: Path) -> None:
    """Write images into one archive, each shared layer once."""
    images = list(images)
    configs = {f"{hashlib.sha256(image.config()).hexdigest()}.json": image for image in images}
    layers = {layer.digest: layer for image in images for layer in image.layers}
    manifest = [
        {
            "Config": name,
            "RepoTags": [image.tag],
            "Layers": [f"{layer.digest}/layer.tar" for layer in image.layers],
        }
        for name, image in configs.items()
    ]
    members = {name: image.config() for name, image in configs.items()}
    members["manifest.json"] = json.dumps(manifest).encode()
    with tarfile.open(target, "w") as out:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            out.addfile(member, io.BytesIO(data))
        for layer in layers.values():
            out.add(layer.file, f"{layer.digest}/layer.tar")

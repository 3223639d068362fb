"""The tar by which an engine takes an image in: configuration, manifest, layers.

Format: "Docker Image Specification v1.2". Nothing is held: layers are read as they are sent.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, cast

from kernelext.daemon.layers import BLOCK_BYTES, END_OF_TAR, READ_BYTES, LayerTar

MANIFEST = "manifest.json"
# Of another image's tar: what says which image is in it.
INDEXES = (MANIFEST, "index.json", "oci-layout", "repositories")


def image_digest(config: bytes) -> str:
    """Return the id by which an engine with its own image store knows an image."""
    return f"sha256:{hashlib.sha256(config).hexdigest()}"


def partial_archive(
    tag: str, config: bytes, diff_ids: Sequence[str], tars: Mapping[str, LayerTar]
) -> tuple[int, Iterator[bytes]]:
    """Return the size and the bytes of an image's tar that has only some of its layers.

    Parameters
    ----------
    tag : str
    config : bytes
    diff_ids : sequence of str
        Of all layers.
    tars : mapping of str to LayerTar
        The layers that the engine lacks, by their digests.
    """
    head = _head(tag, config, [_layer_name(diff_id) for diff_id in diff_ids])
    sizes = [*(len(data) for data in head.values()), *(tar.size_bytes for tar in tars.values())]
    total = sum(BLOCK_BYTES + _padded(size) for size in sizes) + len(END_OF_TAR)

    def read() -> Iterator[bytes]:
        yield from _members(head, tars)
        yield END_OF_TAR

    return total, read()


def whole_archive(
    tag: str, config: bytes, base: Iterator[bytes], tars: Mapping[str, LayerTar]
) -> Iterator[bytes]:
    """Yield the bytes of an image's tar that has all layers, those of its base too.

    Parameters
    ----------
    tag : str
    config : bytes
    base : iterator of bytes
        The base image's tar, as the engine exports it.
    tars : mapping of str to LayerTar
        All layers over it, by their digests.
    """
    below: list[str] = []
    with tarfile.open(fileobj=cast("IO[bytes]", _Stream(base)), mode="r|") as exported:
        for member in exported:
            file = exported.extractfile(member) if member.isreg() else None
            if member.name == MANIFEST and file is not None:
                below = json.load(file)[0]["Layers"]
            if member.name in INDEXES:
                continue
            yield member.tobuf(tarfile.GNU_FORMAT)
            while file is not None and (data := file.read(READ_BYTES)):
                yield data
            yield bytes(_padded(member.size) - member.size if file is not None else 0)
    names = [*below, *(_layer_name(diff_id) for diff_id in tars)]
    yield from _members(_head(tag, config, names), tars)
    yield END_OF_TAR


def _head(tag: str, config: bytes, layers: Sequence[str]) -> dict[str, bytes]:
    config_name = f"{image_digest(config).partition(':')[2]}.json"
    manifest = [{"Config": config_name, "RepoTags": [tag], "Layers": list(layers)}]
    return {config_name: config, MANIFEST: json.dumps(manifest).encode()}


def _members(head: Mapping[str, bytes], tars: Mapping[str, LayerTar]) -> Iterator[bytes]:
    for name, data in head.items():
        yield from _member(name, len(data), iter([data]))
    for diff_id, tar in tars.items():
        yield from _member(_layer_name(diff_id), tar.size_bytes, tar.read())


def _member(name: str, size_bytes: int, data: Iterator[bytes]) -> Iterator[bytes]:
    member = tarfile.TarInfo(name)
    member.size = size_bytes
    yield member.tobuf(tarfile.GNU_FORMAT)
    yield from data
    yield bytes(_padded(size_bytes) - size_bytes)


def _layer_name(diff_id: str) -> str:
    return f"{diff_id.partition(':')[2]}.tar"


def _padded(size_bytes: int) -> int:
    return -(-size_bytes // BLOCK_BYTES) * BLOCK_BYTES


class _Stream:
    """Pieces of bytes as a file that is read once."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = b""

    def read(self, size: int) -> bytes:
        """Return `size` bytes, fewer at the end."""
        found = [self._held]
        missing = size - len(self._held)
        while missing > 0:
            piece = next(self._pieces, b"")
            if not piece:
                break
            found.append(piece)
            missing -= len(piece)
        data = b"".join(found)
        self._held = data[size:]
        return data[:size]

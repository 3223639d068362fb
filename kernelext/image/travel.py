"""Images as they are: from one host to another, into a file, out of a file."""

from __future__ import annotations

import contextlib
import hashlib
import lzma
import secrets
import tarfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from kernelext.errors import EngineError, ImageBuildError, KernelExtError
from kernelext.hosts.sizes import size_text
from kernelext.image.jobs import Check, Say, finish
from kernelext.link import HostLink
from kernelext.models import CHUNK_BYTES, Chunk

ZSTD = bytes.fromhex("28b52ffd")  # a frame's beginning (RFC 8878)


def copy_image(source: HostLink, target: HostLink, image: str, say: Say, check: Check) -> None:
    """Send an image from one host to another, through this machine; nothing is kept here.

    Parameters
    ----------
    source, target : HostLink
        Connected.
    image : str
    say : callable
        Told what is being done.
    check : callable
        Raises when the user wants it to stop.

    Raises
    ------
    ImageNotFound
        The source has it not.
    EngineError, DiskFull
    """

    def parts(missing: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        for digest, data in zip(missing, source.blobs(missing), strict=True):
            check()
            yield digest, data

    with _exported(source, image, say, check) as chunks:
        _load(target, chunks, parts, f"from {source.host.name}", say, check)
    target.forget_images()


def save_image(link: HostLink, image: str, out: BinaryIO, say: Say, check: Check) -> int:
    """Write an image to a file that `docker load` reads too; its bytes.

    Raises
    ------
    ImageNotFound
    DiskFull
    """
    size_bytes = 0
    with _exported(link, image, say, check) as chunks:
        for data in link.blobs([chunk.digest for chunk in chunks]):
            check()
            size_bytes += out.write(data)
            say(f"saving {size_text(size_bytes)}")
    return size_bytes


def packed_bytes(link: HostLink, image: str, say: Say, check: Check) -> int:
    """Return how large an image is as `save_image` writes it; it stays packed on the host.

    Raises
    ------
    ImageNotFound
    DiskFull
    """
    return sum(chunk.size_bytes for chunk in _export(link, image, say, check))


def load_image(link: HostLink, file: Path, say: Say, check: Check) -> list[str]:
    """Take images from a file to a host; what they are called.

    Raises
    ------
    ImageBuildError
        The file cannot be read, or is no tar.
    EngineError
        It has no images, or is damaged.
    DiskFull
    """
    _require_tar(file)
    places: dict[str, int] = {}
    chunks = []
    try:
        with file.open("rb") as source:
            while data := source.read(CHUNK_BYTES):
                chunks.append(Chunk(hashlib.sha256(data).hexdigest(), len(data)))
                places[chunks[-1].digest] = (len(chunks) - 1) * CHUNK_BYTES
    except OSError as exc:
        raise ImageBuildError(f"{file} cannot be read: {exc.strerror}") from exc

    def parts(missing: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        with file.open("rb") as source:
            for digest in missing:
                check()
                source.seek(places[digest])
                yield digest, source.read(CHUNK_BYTES)

    try:
        images = _load(link, chunks, parts, f"of {file.name}", say, check)
    except EngineError as exc:
        raise EngineError(
            f"{file.name} is not taken in: {exc}; is it whole, and was it written by `image save`"
            " or `docker save`?"
        ) from exc
    link.forget_images()
    return images


def _require_tar(file: Path) -> None:
    """Refuse what is no tar, packed or not, before it travels."""
    try:
        with file.open("rb") as source:
            if source.read(len(ZSTD)) == ZSTD:  # which engines read, and Python does not
                return
        with tarfile.open(file, "r|*") as tar:
            tar.next()
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError) as exc:
        raise ImageBuildError(
            f"{file} is no image ({exc}): `image save` and `docker save` write one"
        ) from exc
    except OSError as exc:
        raise ImageBuildError(f"{file} cannot be read: {exc.strerror or exc}") from exc


@contextlib.contextmanager
def _exported(link: HostLink, image: str, say: Say, check: Check) -> Iterator[list[Chunk]]:
    """Have an image in blobs, which take as much of the host's disk, for as long as it is read."""
    reader = secrets.token_hex(8)
    try:
        yield _export(link, image, say, check, reader)
    finally:
        with contextlib.suppress(KernelExtError):  # the host has gone: `gc` removes them
            link.end_export(image, reader)


def _export(link: HostLink, image: str, say: Say, check: Check, reader: str = "") -> list[Chunk]:
    result = finish(link, lambda: link.export_image(image, reader), _send_nothing, say, check)
    return [Chunk.from_json(chunk) for chunk in result["chunks"]]


def _send_nothing(_: Sequence[str]) -> None:
    """Send nothing: an export needs no blobs."""


def _load(
    link: HostLink,
    chunks: Sequence[Chunk],
    parts: Callable[[Sequence[str]], Iterator[tuple[str, bytes]]],
    whence: str,
    say: Say,
    check: Check,
) -> list[str]:
    sizes = {chunk.digest: chunk.size_bytes for chunk in chunks}

    def send(missing: Sequence[str]) -> None:
        say(f"sending {size_text(sum(sizes[digest] for digest in missing))} {whence}")
        link.put(parts(missing))

    result = finish(link, lambda: link.load_image(chunks), send, say, check)
    return [str(name) for name in result["images"]]

"""Images that are built, sent out or taken in: one job at a time, however often it is asked for."""

from __future__ import annotations

import hashlib
import logging
import secrets
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kernelext.daemon.blobs import BlobStore
from kernelext.daemon.engine import Engine, Say
from kernelext.daemon.removal import remove_tree
from kernelext.daemon.statedir import StateDir
from kernelext.errors import DaemonError, DiskFull, KernelExtError
from kernelext.models import CHUNK_BYTES, Chunk, to_json
from kernelext.recipe import Package, Recipe

log = logging.getLogger(__name__)

PATIENCE_S = 5.0  # a client that waits asks ten times a second
FAST = 1  # of zlib's levels: a link is slower than it, a disk is not
GZIP = 31  # of zlib's formats


class Job:
    """Something that takes longer than a request, in a thread of its own.

    Attributes
    ----------
    progress : mapping
        The last that was said of it.
    result : mapping or None
        What it has made.
    error : KernelExtError or None
        Why it has not.
    chunks : tuple of Chunk
        The blobs that it reads.
    """

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self.chunks = chunks
        self.progress: Mapping[str, Any] = {}
        self.result: Mapping[str, Any] | None = None
        self.error: KernelExtError | None = None
        self.ended_s = 0.0

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens."""
        return self.ended_s > 0

    @property
    def is_stale(self) -> bool:
        """Whether it has ended and whoever waited for it has gone."""
        return self.is_over and time.monotonic() - self.ended_s > PATIENCE_S


class Imaging:
    """Works on images, one after the other: each takes all cores or all of the disk.

    Parameters
    ----------
    state : StateDir
    blobs : BlobStore
    engine : Engine
    """

    def __init__(self, state: StateDir, blobs: BlobStore, engine: Engine) -> None:
        self._state = state
        self._blobs = blobs
        self._engine = engine
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._jobs: dict[str, Job] = {}
        remove_tree(state.builds)  # of a daemon that was killed
        state.builds.mkdir(mode=0o711)

    def build(self, recipe: Recipe) -> Job:
        """Build an image; the result is its ``digest``."""
        return self._ask(
            f"build {recipe.digest}", recipe.chunks, lambda say: self._build(recipe, say)
        )

    def export(self, image: str) -> Job:
        """Put an image into blobs, as `docker load` reads it; the result is their ``chunks``."""
        return self._ask(f"export {image}", (), lambda say: self._export(image, say))

    def load(self, chunks: Sequence[Chunk]) -> Job:
        """Give the engine an image that is here in blobs; the result is nothing."""
        name = " ".join(chunk.digest for chunk in chunks)
        return self._ask(f"load {name}", chunks, lambda say: self._load(chunks, say))

    @property
    def is_busy(self) -> bool:
        """Whether some job goes on."""
        return bool(self._going())

    def needed(self) -> list[str]:
        """Return the digests of the blobs that jobs read."""
        return [chunk.digest for job in self._going() for chunk in job.chunks]

    def containers(self) -> list[str]:
        """Return the containers that builds may be running."""
        return [path.name for path in self._state.builds.iterdir()]

    def _going(self) -> list[Job]:
        with self._lock:
            return [job for job in self._jobs.values() if not job.is_over]

    def _ask(
        self, name: str, chunks: Sequence[Chunk], work: Callable[[Say], Mapping[str, Any]]
    ) -> Job:
        """Return a job, which is begun if none goes on; its end is told once."""
        with self._lock:
            job = self._jobs.get(name)
            if job is None or job.is_stale:
                job = self._jobs[name] = Job(chunks)
                threading.Thread(target=self._run, args=(job, work), daemon=True).start()
            elif job.is_over:
                del self._jobs[name]  # who asks again, asks for another
            return job

    def _run(self, job: Job, work: Callable[[Say], Mapping[str, Any]]) -> None:
        def say(told: Mapping[str, Any]) -> None:
            job.progress = told

        try:
            with self._turn:
                job.result = work(say)
        except KernelExtError as exc:
            job.error = exc
        except OSError as exc:
            kind = DiskFull if exc.errno == 28 else DaemonError
            job.error = kind(f"the host's disk: {exc}")
        except Exception as exc:  # the client waits for a word
            log.exception("imaging.failed")
            job.error = DaemonError(f"the image cannot be made ({exc!r})")
        finally:
            job.ended_s = time.monotonic()

    # the work

    def _build(self, recipe: Recipe, say: Say) -> Mapping[str, Any]:
        folder = self._state.builds / f"kernelext-build-{secrets.token_hex(6)}"
        folder.mkdir()
        folder.chmod(0o711)
        try:
            return {"digest": self._engine.build_image(recipe, folder, self._place, say)}
        finally:
            remove_tree(folder)

    def _place(self, package: Package, target: Path) -> None:
        self._blobs.join(package.chunks, target)
        target.chmod(0o444)

    def _export(self, image: str, say: Say) -> Mapping[str, Any]:
        chunks: list[Chunk] = []
        new: list[str] = []
        try:
            for data in _cut(_packed(self._engine.export_image(image))):
                chunks.append(Chunk(hashlib.sha256(data).hexdigest(), len(data)))
                new += self._blobs.missing([chunks[-1].digest])
                self._blobs.put(chunks[-1].digest, data)
                say({"packed": sum(chunk.size_bytes for chunk in chunks)})
        except BaseException:
            for digest in new:  # a part of an image is of no use, and the disk may be full
                self._blobs.path(digest).unlink(missing_ok=True)
            raise
        return {"chunks": to_json(chunks)}

    def _load(self, chunks: Sequence[Chunk], say: Say) -> Mapping[str, Any]:
        size_bytes = sum(chunk.size_bytes for chunk in chunks)
        say({"loading": size_bytes})
        data = (self._blobs.read(chunk) for chunk in chunks)
        return {"images": self._engine.load_image(size_bytes, data)}


def _packed(data: Iterator[bytes]) -> Iterator[bytes]:
    """Compress a stream; the same bytes every time."""
    packer = zlib.compressobj(FAST, wbits=GZIP)
    for piece in data:
        yield packer.compress(piece)
    yield packer.flush()


def _cut(data: Iterator[bytes]) -> Iterator[bytes]:
    held = bytearray()
    for piece in data:
        held += piece
        while len(held) >= CHUNK_BYTES:
            yield bytes(held[:CHUNK_BYTES])
            del held[:CHUNK_BYTES]
    if held:
        yield bytes(held)

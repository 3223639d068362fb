"""Images that are built, sent out or taken in: one job at a time, however often it is asked for."""

from __future__ import annotations

import contextlib
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
from kernelext.daemon.engine import SCRIPT_TAR, SCRIPT_WORK, Engine, Say
from kernelext.daemon.filetar import write_tar
from kernelext.daemon.removal import remove_tree
from kernelext.daemon.statedir import StateDir
from kernelext.errors import DaemonError, DiskFull, EngineError, KernelExtError
from kernelext.models import CHUNK_BYTES, Chunk, to_json
from kernelext.recipe import DockerRecipe, Files, Package, Recipe

log = logging.getLogger(__name__)

PATIENCE_S = 5.0  # a client that waits asks ten times a second
LEFT_S = 600.0  # a client may be cut off for as long (`lost_after`)
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
    asked_s : float
        When it was last asked for, by the monotonic clock.
    is_unwanted : bool
        Whether it is to end.
    """

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self.chunks = chunks
        self.progress: Mapping[str, Any] = {}
        self.result: Mapping[str, Any] | None = None
        self.error: KernelExtError | None = None
        self.asked_s = time.monotonic()
        self.ended_s = 0.0
        self.is_unwanted = False

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens."""
        return self.ended_s > 0

    @property
    def is_left(self) -> bool:
        """Whether it goes on, and nobody has waited for it for long: it holds up others."""
        return not self.is_over and time.monotonic() - self.asked_s > LEFT_S

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
        self._readers: dict[str, set[str]] = {}  # of exports, by their images
        self._exported: dict[str, set[str]] = {}  # the blobs that are there for these alone
        for folder in state.builds.glob("*"):  # of a daemon that was killed
            with contextlib.suppress(KernelExtError):
                engine.clear_build(folder)
        remove_tree(state.builds)
        state.builds.mkdir(mode=0o711)

    def build(self, recipe: Recipe, chunks: Sequence[Chunk] = ()) -> Job:
        """Build an image; the result is its ``digest``.

        Parameters
        ----------
        recipe : Recipe
        chunks : sequence of Chunk
            What it needs besides its packages.
        """
        needed = (*recipe.chunks, *chunks)
        return self._ask(f"build {recipe.digest}", needed, lambda say: self._build(recipe, say))

    def build_dockerfile(
        self, recipe: DockerRecipe, chunks: Sequence[Chunk], is_fresh: bool
    ) -> Job:
        """Have the engine build a Dockerfile; the result is its image's ``digest``.

        Parameters
        ----------
        recipe : DockerRecipe
        chunks : sequence of Chunk
            All that its files are made of.
        is_fresh : bool
            Whether every step is carried out, also those that the engine knows from before.
        """

        def work(say: Say) -> Mapping[str, Any]:
            with self._folder() as folder:
                context = folder / "context.tar"
                write_tar(recipe.context.manifest, self._blobs, context)
                build = self._engine.build_dockerfile
                return {"digest": build(recipe, context, say, is_fresh=is_fresh)}

        return self._ask(f"build {recipe.digest}", chunks, work)

    def stop(self, digest: str) -> None:
        """End a build, by its recipe's digest: nobody waits for it any more.

        What its steps run is killed; what comes between takes no time.
        """
        with self._lock:
            job = self._jobs.pop(f"build {digest}", None)
        if job is not None:
            self._end(job)

    def export(self, image: str, reader: str = "") -> Job:
        """Put an image into blobs, as `docker load` reads it; the result is their ``chunks``.

        Parameters
        ----------
        image : str
        reader : str
            Whoever tells `end_export` when it has read them; for nobody they stay.
        """
        if reader:
            with self._lock:
                self._readers.setdefault(image, set()).add(reader)
        return self._ask(
            f"export {image}", (), lambda say: self._export(image, say, is_kept=not reader)
        )

    def end_export(self, image: str, reader: str) -> None:
        """Remove an image's blobs, unless somebody else reads them."""
        with self._lock:
            readers = self._readers.get(image, set())
            readers.discard(reader)
            if readers:
                return
            self._readers.pop(image, None)
            digests = self._exported.pop(image, set())
        for digest in digests.difference(self.needed()):
            self._blobs.path(digest).unlink(missing_ok=True)

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
            if job is not None:
                job.asked_s = time.monotonic()
            for left in [each for each in self._jobs.values() if each.is_left]:
                self._end(left)
            if job is None or job.is_stale or job.is_unwanted:
                job = self._jobs[name] = Job(chunks)
                threading.Thread(target=self._run, args=(job, work), daemon=True).start()
            elif job.is_over:
                del self._jobs[name]  # who asks again, asks for another
            return job

    def _run(self, job: Job, work: Callable[[Say], Mapping[str, Any]]) -> None:
        def say(told: Mapping[str, Any]) -> None:
            job.progress = told
            if job.is_unwanted:
                self._kill(job)

        try:
            with self._turn:
                if job.is_unwanted:
                    raise EngineError("the build was stopped before its turn came")
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

    def _end(self, job: Job) -> None:
        job.is_unwanted = True
        self._kill(job)

    def _kill(self, job: Job) -> None:
        """End what a job's step runs; the next one is ended when it is told of."""
        container = job.progress.get("container")
        if container:
            self._engine.remove(str(container))

    # the work

    def _build(self, recipe: Recipe, say: Say) -> Mapping[str, Any]:
        with self._folder() as folder:
            if recipe.script is not None:
                self._write_script(recipe.script, folder)
            return {"digest": self._engine.build_image(recipe, folder, self._place, say)}

    def _write_script(self, script: Files, folder: Path) -> None:
        below, _, name = f"{SCRIPT_WORK}/{script.start}".rpartition("/")
        tar = folder / SCRIPT_TAR
        write_tar(script.manifest, self._blobs, tar, below=below, script=name)

    @contextlib.contextmanager
    def _folder(self) -> Iterator[Path]:
        folder = self._state.builds / f"kernelext-build-{secrets.token_hex(6)}"
        folder.mkdir()
        folder.chmod(0o711)
        try:
            yield folder
        finally:
            remove_tree(folder)

    def _place(self, package: Package, target: Path) -> None:
        self._blobs.join(package.chunks, target)
        target.chmod(0o444)

    def _export(self, image: str, say: Say, *, is_kept: bool) -> Mapping[str, Any]:
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
        with self._lock:
            self._exported.setdefault(image, set()).update(new)
            is_read = is_kept or image in self._readers
        if not is_read:  # whoever has asked was interrupted meanwhile
            self.end_export(image, "")
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

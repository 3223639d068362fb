"""What clients may ask of the daemon: one method a request."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kernelext.daemon.attempts import Attempt, Attempts
from kernelext.daemon.blobs import BlobStore
from kernelext.daemon.collect import Collector
from kernelext.daemon.conductor import Conductor
from kernelext.daemon.disuse import remove_unused
from kernelext.daemon.engine import Engine
from kernelext.daemon.imaging import Imaging, Job
from kernelext.daemon.outputs import read_piece
from kernelext.daemon.pulse import Pulse
from kernelext.daemon.queue import Queue
from kernelext.daemon.statedir import SAFE_DIGEST, StateDir, open_beneath
from kernelext.daemon.workdir import project_files
from kernelext.errors import DaemonError, ProtocolError
from kernelext.models import (
    JOURNAL_NAME,
    PROTOCOL_VERSION,
    VALUES_DIR,
    AttemptId,
    Chunk,
    EndCause,
    RunSpec,
    Task,
    to_json,
)
from kernelext.recipe import DockerRecipe, Recipe
from kernelext.wire import MAX_BODY_BYTES, Header

MAX_MISSING = 200_000  # digests in an answer's header; the client sends these and submits again

Answer = tuple[Header, bytes]


@dataclass(frozen=True)
class Identity:
    """Who this daemon is: the digest of its code and the machine's boot."""

    code: str
    boot_id: str


@dataclass(frozen=True)
class Rooms:
    """What the daemon is made of."""

    attempts: Attempts
    blobs: BlobStore
    imaging: Imaging
    conductor: Conductor
    engine: Engine
    queue: Queue
    pulse: Pulse
    state: StateDir


class Service:
    """The daemon's rooms behind one door.

    Parameters
    ----------
    identity : Identity
    rooms : Rooms
    retire : callable
        Ends the daemon.
    """

    def __init__(self, identity: Identity, rooms: Rooms, retire: Callable[[], None]) -> None:
        self.attempts = rooms.attempts
        self.pulse = rooms.pulse
        self._identity = identity
        self._blobs = rooms.blobs
        self._imaging = rooms.imaging
        self._conductor = rooms.conductor
        self._engine = rooms.engine
        self._queue = rooms.queue
        self._state = rooms.state
        self._using = threading.Lock()  # of blobs: none is collected while a run comes in
        self._retire = retire
        self._answers: dict[str, Callable[[Header, bytes], Answer]] = {
            "hello": self._hello,
            "ping": lambda _, __: ({}, b""),
            "facts": self._facts,
            "image": self._image,
            "read_image": self._read_image,
            "find_image": self._find_image,
            "build": self._build,
            "build_dockerfile": self._build_dockerfile,
            "stop_build": self._stop_build,
            "images": self._images,
            "export_image": self._export_image,
            "end_export": self._end_export,
            "load_image": self._load_image,
            "remove_image": self._remove_image,
            "blob": self._blob,
            "missing": self._missing,
            "put": self._put,
            "submit": self._submit,
            "attempt": self._attempt,
            "get": self._get,
            "read": self._read,
            "interrupt": self._interrupt,
            "kill": self._kill,
            "release": self._release,
            "collect": self._collect,
            "retire": self._end,
        }

    def answer(self, header: Header, body: bytes) -> Answer:
        """Carry out a request.

        Raises
        ------
        ProtocolError
            When this version does not know it.
        """
        op = str(header.get("op"))
        if op not in self._answers:
            raise ProtocolError(f"this daemon does not know the request {op!r}")
        return self._answers[op](header, body)

    def open_journal(self, attempt_id: AttemptId) -> Attempt:
        """Return an attempt whose journal can be read, if there is one."""
        attempt = self.attempts.get(attempt_id)
        with self.pulse:
            if attempt.state.is_final and attempt.journal_fd < 0:
                with contextlib.suppress(DaemonError, OSError):
                    work = self.attempts.work(attempt)
                    attempt.journal_fd = open_beneath(work, JOURNAL_NAME)
                    attempt.final_bytes = os.fstat(attempt.journal_fd).st_size
        return attempt

    def _hello(self, header: Header, _: bytes) -> Answer:
        if header.get("protocol") != PROTOCOL_VERSION:
            raise ProtocolError(
                f"the daemon speaks protocol {PROTOCOL_VERSION}, the client"
                f" {header.get('protocol')}"
            )
        facts = self._queue.facts(self._identity.boot_id)
        return {
            "protocol": PROTOCOL_VERSION,
            "code": self._identity.code,
            "facts": to_json(facts),
            "clock": time.time(),
        }, b""

    def _facts(self, _: Header, __: bytes) -> Answer:
        return {"facts": to_json(self._queue.facts(self._identity.boot_id, again=True))}, b""

    def _image(self, header: Header, _: bytes) -> Answer:
        image = header.get("image") or self._engine.default_image()
        pulls, auth = bool(header.get("pulls", True)), str(header.get("auth", ""))
        return {"facts": to_json(self._engine.inspect_image(str(image), pulls, auth))}, b""

    def _find_image(self, header: Header, _: bytes) -> Answer:
        image = header["image"] or self._engine.default_image()
        pulls, auth = bool(header["pulls"]), str(header["auth"])
        digest, architecture = self._engine.find_image(str(image), pulls, auth)
        return {"digest": digest, "architecture": architecture}, b""

    def _read_image(self, header: Header, _: bytes) -> Answer:
        paths = [str(path) for path in header["paths"]]
        found = self._engine.read_image(str(header["image"]), paths)
        sizes = [None if data is None else len(data) for data in found]
        return {"sizes": sizes}, b"".join(data or b"" for data in found)

    def _build(self, header: Header, _: bytes) -> Answer:
        recipe = Recipe.from_json(header["recipe"])
        files = self._files(recipe.script.manifest) if recipe.script else []
        return self._job((*recipe.chunks, *files), lambda: self._imaging.build(recipe, files))

    def _build_dockerfile(self, header: Header, _: bytes) -> Answer:
        recipe = DockerRecipe.from_json(header["recipe"])
        files = self._files(recipe.context.manifest)
        is_fresh = bool(header["fresh"])
        return self._job(files, lambda: self._imaging.build_dockerfile(recipe, files, is_fresh))

    def _stop_build(self, header: Header, _: bytes) -> Answer:
        self._imaging.stop(str(header["digest"]))
        return {}, b""

    def _files(self, manifest: Chunk) -> list[Chunk]:
        """Return the chunks of a manifest's files after its own, as far as they are known."""
        if self._blobs.missing([manifest.digest]):
            return [manifest]
        files = project_files(manifest, self._blobs)
        return [manifest, *(chunk for entry in files for chunk in entry.chunks)]

    def _export_image(self, header: Header, _: bytes) -> Answer:
        image, reader = str(header["image"]), str(header.get("reader", ""))
        return self._job((), lambda: self._imaging.export(image, reader))

    def _end_export(self, header: Header, _: bytes) -> Answer:
        with self._using:
            self._imaging.end_export(str(header["image"]), str(header["reader"]))
        return {}, b""

    def _load_image(self, header: Header, _: bytes) -> Answer:
        chunks = tuple(Chunk.from_json(chunk) for chunk in header["chunks"])
        return self._job(chunks, lambda: self._imaging.load(chunks))

    def _job(self, chunks: Sequence[Chunk], ask: Callable[[], Job]) -> Answer:
        """Begin a job or say how far it is."""
        with self._using:
            missing = self._blobs.missing(chunk.digest for chunk in chunks)
            if missing:
                return {"missing": missing[:MAX_MISSING]}, b""
            job = ask()
        if job.error is not None:
            raise job.error
        return {"missing": [], "progress": job.progress, "result": job.result}, b""

    def _images(self, _: Header, __: bytes) -> Answer:
        return {"images": self._engine.list_images()}, b""

    def _remove_image(self, header: Header, _: bytes) -> Answer:
        remove_unused(str(header["image"]), self._engine, self.attempts, self._imaging)
        return {}, b""

    def _blob(self, header: Header, _: bytes) -> Answer:
        digest = str(header["digest"])
        try:
            data = self._blobs.read(Chunk(digest, 0))
        except OSError as exc:
            raise DaemonError(f"the blob {digest[:12]} is not here") from exc
        return {}, data

    def _missing(self, header: Header, _: bytes) -> Answer:
        return {"missing": self._blobs.missing(header["digests"])}, b""

    def _put(self, header: Header, body: bytes) -> Answer:
        self._put_parts(header["parts"], body)
        return {}, b""

    def _put_parts(self, parts: list[list[Any]], body: bytes) -> None:
        start = 0
        for digest, size in parts:
            self._blobs.put(str(digest), body[start : start + size])
            start += size

    def _submit(self, header: Header, body: bytes) -> Answer:
        self._put_parts(header["inline"], body)
        spec = RunSpec.from_json(header["spec"])
        tasks = [Task.from_json(task) for task in header["tasks"]]
        with self._using:
            missing = self._blobs.missing(self._needed(spec, tasks))
            if missing:
                return {"missing": missing[:MAX_MISSING]}, b""
            for task in tasks:
                self.attempts.add(spec, task, dict(header.get("env", {})))
        return {"missing": []}, b""

    def _needed(self, spec: RunSpec, tasks: list[Task]) -> list[str]:
        refs = [*spec.inputs, *(ref for task in tasks for ref in task.inputs)]
        needed = [chunk.digest for ref in refs for chunk in ref.chunks]
        if spec.project is not None:
            needed += [chunk.digest for chunk in self._files(spec.project)]
        return needed

    def _attempt(self, header: Header, _: bytes) -> Answer:
        attempt = self.open_journal(AttemptId.from_json(header["attempt"]))
        return {"state": attempt.state.value, "journal_bytes": attempt.journal_size()}, b""

    def _get(self, header: Header, _: bytes) -> Answer:
        attempt = self.attempts.get(AttemptId.from_json(header["attempt"]))
        digest = str(header["digest"])
        if not SAFE_DIGEST.fullmatch(digest):
            raise DaemonError(f"{digest[:80]!r} is no digest")
        fd = open_beneath(self.attempts.work(attempt), VALUES_DIR, digest)
        with os.fdopen(fd, "rb") as file:
            data = file.read(MAX_BODY_BYTES + 1)
        if len(data) > MAX_BODY_BYTES:
            raise DaemonError(f"the chunk {digest[:12]} is too large")
        return {}, data

    def _read(self, header: Header, _: bytes) -> Answer:
        attempt = self.attempts.get(AttemptId.from_json(header["attempt"]))
        path, offset = str(header["path"]), int(header["offset"])
        size_bytes = min(int(header["size_bytes"]), MAX_BODY_BYTES)
        try:
            return {}, read_piece(self.attempts.work(attempt), path, offset, size_bytes)
        except OSError as exc:
            raise DaemonError(f"the run left no file {path}") from exc

    def _interrupt(self, header: Header, _: bytes) -> Answer:
        attempt = self.attempts.get(AttemptId.from_json(header["attempt"]))
        self._conductor.interrupt(attempt)
        return {"state": attempt.state.value}, b""

    def _kill(self, header: Header, _: bytes) -> Answer:
        attempt = self.attempts.get(AttemptId.from_json(header["attempt"]))
        self._conductor.stop(attempt, EndCause(header.get("cause", "killed")))
        return {"state": attempt.state.value}, b""

    def _release(self, header: Header, _: bytes) -> Answer:
        attempt = self.attempts.get(AttemptId.from_json(header["attempt"]))
        if header.get("kill"):
            attempt.is_unwanted = True
            self._conductor.stop(attempt, EndCause.KILLED)
        elif not attempt.state.is_final:
            raise DaemonError(f"{attempt.id} has not ended")
        if attempt.state.is_final:
            self.attempts.forget(attempt)
        return {}, b""

    def _collect(self, header: Header, _: bytes) -> Answer:
        collector = Collector(
            self._state,
            self.attempts,
            self._engine,
            self._conductor.spares,
            self._imaging,
            lambda attempt: self._needed(attempt.record.spec, [attempt.record.task]),
        )
        owner, older_than_s = str(header["owner"]), float(header["older_than_s"])
        with self._using:
            removed = collector.collect(owner, older_than_s, dry_run=bool(header["dry_run"]))
        return {"removed": to_json(removed)}, b""

    def _end(self, _: Header, __: bytes) -> Answer:
        living = self.attempts.living()
        if living:
            return {"busy": [str(attempt.id) for attempt in living]}, b""
        if self._imaging.is_busy:
            return {"busy": ["work on an image"]}, b""
        self._retire()
        return {"busy": []}, b""

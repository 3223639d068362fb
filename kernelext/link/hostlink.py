"""One host as its clients use it: a method a request."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernelext.errors import LinkLost
from kernelext.hosts.config import HostConfig
from kernelext.link.client import DaemonClient, Push
from kernelext.link.standing import StandingLink
from kernelext.models import (
    AttemptId,
    Chunk,
    EndCause,
    HostFacts,
    ImageFacts,
    RunSpec,
    RunState,
    Task,
    to_json,
)
from kernelext.recipe import DockerRecipe, Recipe
from kernelext.wire import Frame, Header

IMAGE_TIMEOUT_S = 900.0  # the host may have to pull it
IN_FLIGHT_BYTES = 32 * 1024 * 1024
IN_FLIGHT_REQUESTS = 256
BLOBS_IN_FLIGHT = 3
COLLECT_TIMEOUT_S = 600.0
FAREWELL_S = 1.0  # for what the host is still to hear when the link is closed

BATCH_BYTES = 1024 * 1024
BATCH_PARTS = 500
BATCH_DIGESTS = 50_000  # of a question: some 3 MB, of the 16 MiB that a header may have

Part = bytes | memoryview
Flying = tuple[Future[Frame], list[str], int]


@dataclass(frozen=True)
class Progress:
    """How far a job on a host is.

    Attributes
    ----------
    missing : list of str
        Blobs that the host lacks; nothing has begun.
    told : mapping
        The last that was said of it.
    result : mapping or None
        When it has ended.
    """

    missing: list[str]
    told: Mapping[str, Any]
    result: Mapping[str, Any] | None


class HostLink(StandingLink):
    """A host's daemon, within reach; see `StandingLink` for the parameters.

    Attributes
    ----------
    known : set of str
        Digests that the daemon has shown to hold.
    """

    def __init__(self, host: HostConfig, environ: Mapping[str, str], local_state: Path) -> None:
        super().__init__(host, environ, local_state)
        self.known: set[str] = set()
        self._followers: dict[AttemptId, Push] = {}
        self._images: dict[str, ImageFacts] = {}
        self._said: set[str] = set()
        self._owed: dict[AttemptId, Header] = {}  # deletions that the host has not confirmed
        self._paying: set[Future[Frame]] = set()

    def close(self) -> None:
        """End all connections to the host for good; what runs there runs on."""
        wait(list(self._paying), FAREWELL_S)
        super().close()

    def _on_connected(self) -> None:
        for attempt in list(self._owed):
            self._pay(attempt)

    def _dispatch(self, header: Header, body: bytes) -> None:
        if "attempt" not in header:
            return  # the daemon says that it lives
        follower = self._followers.get(AttemptId.from_json(header["attempt"]))
        if follower is not None:
            follower(header, body)

    def image(self, name: str, *, pulls: bool = True, auth: str = "") -> ImageFacts:
        """Ask what an image holds, the host's default one if `name` is empty; asked once.

        Parameters
        ----------
        name : str
        pulls : bool
            Whether the host pulls an absent one.
        auth : str
            Its login to the registry (Docker Engine API, "Authentication"); kept nowhere.

        Raises
        ------
        ImageNotFound
        EngineError
            It has no Python.
        """
        if name not in self._images:
            request = {"op": "image", "image": name, "pulls": pulls, "auth": auth}
            answer, _ = self.ask(request, timeout_s=IMAGE_TIMEOUT_S)
            self._images[name] = ImageFacts.from_json(answer["facts"])
        return self._images[name]

    def read_image(self, image: str, paths: Sequence[str]) -> list[bytes | None]:
        """Read files out of an image that is there; None for one that it does not have.

        Raises
        ------
        ImageNotFound
        EngineError
            The host has no images.
        """
        request = {"op": "read_image", "image": image, "paths": list(paths)}
        answer, body = self.ask(request, timeout_s=IMAGE_TIMEOUT_S)
        found: list[bytes | None] = []
        for size_bytes in answer["sizes"]:
            found.append(None if size_bytes is None else body[: int(size_bytes)])
            body = body[int(size_bytes or 0) :]
        return found

    def forget_images(self) -> None:
        """Ask again what images hold: one has gone."""
        self._images.clear()

    def find_image(self, name: str, *, pulls: bool = True, auth: str = "") -> tuple[str, str]:
        """Ask for an image that need not have Python; its id and architecture.

        Parameters
        ----------
        name, pulls, auth : see `image`

        Raises
        ------
        ImageNotFound
        EngineError
            The host has no images.
        """
        request = {"op": "find_image", "image": name, "pulls": pulls, "auth": auth}
        answer, _ = self.ask(request, timeout_s=IMAGE_TIMEOUT_S)
        return str(answer["digest"]), str(answer["architecture"])

    def build(self, recipe: Recipe) -> Progress:
        """Have an image built, or ask how far it is; the result has its ``digest``.

        Raises
        ------
        ImageNotFound
            The base is not there.
        EngineError, DiskFull
            It cannot be built.
        """
        return self._job({"op": "build", "recipe": to_json(recipe)})

    def build_dockerfile(self, recipe: DockerRecipe, *, is_fresh: bool) -> Progress:
        """Have a Dockerfile built, or ask how far it is; the result has its ``digest``.

        Parameters
        ----------
        recipe : DockerRecipe
        is_fresh : bool
            Whether every step is carried out, also those that the engine knows from before.

        Raises
        ------
        EngineError, DiskFull
            It cannot be built; has the last lines of the step that fails.
        """
        return self._job({"op": "build_dockerfile", "recipe": to_json(recipe), "fresh": is_fresh})

    def stop_build(self, recipe: Recipe | DockerRecipe) -> None:
        """Have a build ended, for which nobody waits."""
        self.ask({"op": "stop_build", "digest": recipe.digest})

    def export_image(self, image: str, reader: str = "") -> Progress:
        """Have an image put into blobs, or ask how far it is; the result has its ``chunks``.

        Parameters
        ----------
        image : str
        reader : str
            Whoever tells `end_export`; for nobody the blobs stay.

        Raises
        ------
        ImageNotFound, DiskFull
        """
        return self._job({"op": "export_image", "image": image, "reader": reader})

    def end_export(self, image: str, reader: str) -> None:
        """Have the blobs of an image removed, unless somebody else reads them."""
        self.ask({"op": "end_export", "image": image, "reader": reader})

    def load_image(self, chunks: Sequence[Chunk]) -> Progress:
        """Have images taken out of blobs, or ask how far it is; the result has their ``images``.

        Raises
        ------
        EngineError
            They are none.
        DiskFull
        """
        return self._job({"op": "load_image", "chunks": to_json(chunks)})

    def _job(self, request: Header) -> Progress:
        answer, _ = self.ask(request)
        missing = [str(digest) for digest in answer["missing"]]
        self.known.difference_update(missing)
        return Progress(missing, answer.get("progress") or {}, answer.get("result"))

    def images(self) -> list[Mapping[str, Any]]:
        """List the projects' images: ``tag``, ``digest``, ``size_bytes``."""
        return list(self.ask({"op": "images"})[0]["images"])

    def remove_image(self, image: str) -> None:
        """Remove an image.

        Raises
        ------
        ImageNotFound, EngineError
        """
        self.ask({"op": "remove_image", "image": image}, timeout_s=IMAGE_TIMEOUT_S)
        self.forget_images()

    def blobs(self, digests: Sequence[str]) -> Iterator[bytes]:
        """Bring blobs, in their order, some of them in flight."""
        bulk = self._bulk_client()
        flying: deque[Future[Frame]] = deque()
        for digest in digests:
            flying.append(bulk.send({"op": "blob", "digest": digest}))
            if len(flying) > BLOBS_IN_FLIGHT:
                yield bulk.result(flying.popleft(), timeout_s=600.0)[1]
        for answer in flying:
            yield bulk.result(answer, timeout_s=600.0)[1]

    def missing(self, digests: Sequence[str]) -> list[str]:
        """Ask which blobs the host lacks; what it has is remembered."""
        lacking: list[str] = []
        for start in range(0, len(digests), BATCH_DIGESTS):
            asked = list(digests[start : start + BATCH_DIGESTS])
            answer, _ = self.ask({"op": "missing", "digests": asked})
            lacking += (str(digest) for digest in answer["missing"])
        self.known.update(set(digests) - set(lacking))
        return lacking

    def put(self, parts: Iterable[tuple[str, Part]]) -> None:
        """Send blobs on the bulk connection, small ones together, many in flight.

        Raises
        ------
        LinkLost
            What has arrived stays there.
        """
        bulk = self._bulk_client()
        flying: deque[Flying] = deque()
        total = 0
        for batch in _batches(parts):
            named = [[digest, len(data)] for digest, data in batch]
            # One alone is not copied: it may be large.
            body = batch[0][1] if len(batch) == 1 else b"".join(data for _, data in batch)
            answer = bulk.send({"op": "put", "parts": named}, body)
            flying.append((answer, [digest for digest, _ in batch], len(body)))
            total += len(body)
            while flying and total > IN_FLIGHT_BYTES:
                total -= self._landed(bulk, flying)
        while flying:
            self._landed(bulk, flying)

    def _landed(self, bulk: DaemonClient, flying: deque[Flying]) -> int:
        answer, digests, size = flying.popleft()
        bulk.result(answer, timeout_s=600.0)
        self.known.update(digests)
        return size

    def submit(
        self,
        spec: RunSpec,
        tasks: Sequence[Task],
        inline: Sequence[tuple[str, Part]],
        env: Mapping[str, str],
    ) -> list[str]:
        """Queue folds on the host and follow them; which blobs it lacks, when it could not."""
        header = {
            "op": "submit",
            "spec": to_json(spec),
            "tasks": to_json(tasks),
            "inline": [[digest, len(data)] for digest, data in inline],
            "env": dict(env),
            "follow": True,
        }
        answer, _ = self.ask(header, b"".join(inline_part for _, inline_part in inline))
        lacking = [str(digest) for digest in answer["missing"]]
        self.known.update(digest for digest, _ in inline)
        self.known.difference_update(lacking)
        return lacking

    def attempt(self, attempt: AttemptId) -> tuple[RunState, int]:
        """Ask for an attempt's state and the bytes of its journal.

        Raises
        ------
        DaemonError
            The host does not know it.
        """
        answer, _ = self.ask({"op": "attempt", "attempt": to_json(attempt)})
        return RunState(answer["state"]), int(answer["journal_bytes"])

    def listen(self, attempt: AttemptId, follower: Push) -> None:
        """Give what the daemon pushes about an attempt to `follower`."""
        self._followers[attempt] = follower

    def follow(self, attempt: AttemptId, offset: int) -> None:
        """Have the journal from `offset` on, states and the end pushed."""
        self.ask({"op": "follow", "attempt": to_json(attempt), "offset": offset})

    def unfollow(self, attempt: AttemptId) -> None:
        """Hear no more of an attempt."""
        self._followers.pop(attempt, None)

    def get(self, attempt: AttemptId, digest: str) -> bytes:
        """Fetch one chunk of a result on the bulk connection."""
        request = {"op": "get", "attempt": to_json(attempt), "digest": digest}
        _, data = self._bulk_client().request(request, timeout_s=600.0)
        return data

    def read(self, attempt: AttemptId, parts: Iterable[tuple[str, int, int]]) -> Iterator[bytes]:
        """Fetch parts of files of the attempt's project, many in flight, in their order.

        Parameters
        ----------
        parts : iterable of (str, int, int)
            Path, offset and size.
        """
        flying: deque[tuple[Future[Frame], int]] = deque()
        total = 0
        bulk = self._bulk_client()
        for path, offset, size in parts:
            request = {"op": "read", "attempt": to_json(attempt), "path": path}
            flying.append((bulk.send({**request, "offset": offset, "size_bytes": size}), size))
            total += size
            while total > IN_FLIGHT_BYTES or len(flying) > IN_FLIGHT_REQUESTS:
                answer, size = flying.popleft()
                total -= size
                yield bulk.result(answer, timeout_s=600.0)[1]
        for answer, _ in flying:
            yield bulk.result(answer, timeout_s=600.0)[1]

    def interrupt(self, attempt: AttemptId, timeout_s: float = 10.0) -> None:
        """Send SIGINT to the cell."""
        self.ask({"op": "interrupt", "attempt": to_json(attempt)}, timeout_s=timeout_s)

    def kill(self, attempt: AttemptId, cause: EndCause, timeout_s: float = 10.0) -> None:
        """Kill the attempt's container, or take it from the queue."""
        request = {"op": "kill", "attempt": to_json(attempt), "cause": cause.value}
        self.ask(request, timeout_s=timeout_s)

    def release(self, attempt: AttemptId, *, kill: bool = False) -> None:
        """Have the host delete what it keeps of an attempt, and end it first if `kill`.

        Does not wait: an absent host is asked again when it is connected.
        """
        self._owed[attempt] = {"op": "release", "attempt": to_json(attempt), "kill": kill}
        self._pay(attempt)

    def _pay(self, attempt: AttemptId) -> None:
        def settle(answer: Future[Frame]) -> None:
            self._paying.discard(answer)
            if answer.exception() is None:  # also where the host says that it knows no such
                self._owed.pop(attempt, None)

        control = self._control
        if control is None:
            return
        with contextlib.suppress(LinkLost):
            answer = control.send(self._owed[attempt])
            self._paying.add(answer)
            answer.add_done_callback(settle)

    def says_once(self, sentence: str) -> bool:
        """Whether a sentence about this host is new to the user of this process."""
        is_new = sentence not in self._said
        self._said.add(sentence)
        return is_new

    def collect(self, owner: str, older_than_s: float, *, dry_run: bool) -> list[Header]:
        """Have the host remove what nobody needs; what it was, or would be."""
        request = {"op": "collect", "owner": owner, "older_than_s": older_than_s}
        answer, _ = self.ask({**request, "dry_run": dry_run}, timeout_s=COLLECT_TIMEOUT_S)
        return list(answer["removed"])

    def refresh(self) -> HostFacts:
        """Ask how the host does now."""
        answer, _ = self.ask({"op": "facts"})
        self.facts = HostFacts.from_json(answer["facts"])
        return self.facts


def _batches(parts: Iterable[tuple[str, Part]]) -> Iterator[list[tuple[str, Part]]]:
    """Gather small parts: a project may have thousands of them."""
    batch: list[tuple[str, Part]] = []
    size = 0
    for digest, data in parts:
        if batch and (size + len(data) > BATCH_BYTES or len(batch) >= BATCH_PARTS):
            yield batch
            batch, size = [], 0
        batch.append((digest, data))
        size += len(data)
    if batch:
        yield batch

"""Turns a plan into what one host is sent, and sends what it lacks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from kernelext.errors import CellSyntaxError, DaemonError
from kernelext.link import HostLink
from kernelext.models import INLINE_LIMIT_BYTES, ImageFacts, RunSpec, Task
from kernelext.runs.fitting import ADVICE, check_image
from kernelext.runs.plan import RunPlan
from kernelext.runs.uploads import refuse_size
from kernelext.values import Encoded, abilities_of, encode_group, in_groups, own_abilities

SENDING_TRIES = 3

Part = bytes | memoryview


class Encoder:
    """Encodes a plan's variables, once for all hosts that can decode the same.

    Parameters
    ----------
    plan : RunPlan
    python : str
        The notebook's version.
    """

    def __init__(self, plan: RunPlan, python: str) -> None:
        self._plan = plan
        self._python = python
        self._lock = threading.Lock()
        self._done: dict[tuple[frozenset[str], str], tuple[Encoded, ...]] = {}

    def common(self, facts: ImageFacts) -> tuple[Encoded, ...]:
        """Encode the variables that all folds read."""
        return self._encode("", self._plan.inputs, facts)

    def of_fold(self, fold: str, facts: ImageFacts) -> tuple[Encoded, ...]:
        """Encode the variables that only this fold reads."""
        return self._encode(fold, self._plan.folds[fold], facts)

    def _encode(self, fold: str, values: Any, facts: ImageFacts) -> tuple[Encoded, ...]:
        abilities = abilities_of(facts.packages)
        with self._lock:
            if (abilities, fold) not in self._done:
                namespace = self._plan.namespace
                self._done[abilities, fold] = tuple(
                    encoded
                    for group in in_groups(values)
                    for encoded in encode_group(group, values, namespace, abilities=abilities)
                )
            found = self._done[abilities, fold]
        check_image(found, facts, self._python)
        return found


class Sender:
    """What one host is to hold before its folds can be queued there.

    Parameters
    ----------
    plan : RunPlan
    link : HostLink
    encoder : Encoder
    check : callable
        Raises when the user wants it to stop; called between parts.
    on_submit : callable
        Told True before the folds are submitted, False when the host has refused them.
    """

    def __init__(
        self,
        plan: RunPlan,
        link: HostLink,
        encoder: Encoder,
        check: Callable[[], None],
        on_submit: Callable[[bool], None],
    ) -> None:
        self._plan = plan
        self._link = link
        self._encoder = encoder
        self._check = check
        self._on_submit = on_submit
        self._image = ""
        self.notes: list[str] = []  # what the user is to be told of the image

    def submit(
        self, folds: Sequence[str], attempt: int, image: str, on_large: Callable[[int], None]
    ) -> None:
        """Send what the host lacks and queue the folds there.

        Parameters
        ----------
        folds : sequence of str
        attempt : int
        image : str
            What cells run in, which is on the host; empty for its default one.
        on_large : callable
            Told how many bytes are going to be sent, when it is more than a message.

        Raises
        ------
        CellSyntaxError
            The cell needs IPython, which the image lacks.
        ValueCodecError, BundleError
            Something cannot travel.
        LinkLost
            Call it again: what has arrived is there.
        """
        self._image = image
        facts = self._link.image(image)
        self._check_magic(facts)
        common = self._encoder.common(facts)
        own = {fold: self._encoder.of_fold(fold, facts) for fold in folds}
        everything = [*common, *(each for some in own.values() for each in some)]
        self._refuse_size(everything)
        self.notes += ADVICE.of(everything, facts, self._link.host.name)
        self.notes += ADVICE.of_versions(
            self._plan.packages, facts, self._link.host.name, self._plan.versions_step
        )
        spec = self._spec(common)
        tasks = [
            Task(fold, attempt, tuple(each.ref for each in encoded))
            for fold, encoded in own.items()
        ]
        parts = _value_parts(everything)
        sizes = {digest: len(data) for digest, data in parts.items()} | self._file_sizes()
        inline = self._prepare(sizes, parts, on_large)
        for _ in range(SENDING_TRIES):
            self._check()
            self._on_submit(True)
            lacking = self._link.submit(spec, tasks, inline, self._plan.env)
            if not lacking:
                return
            self._on_submit(False)
            inline = []
            self._put(lacking, parts)
        raise DaemonError(f"{self._link.host.name} does not keep what it is sent")

    def _check_magic(self, facts: ImageFacts) -> None:
        if self._plan.magic and "ipython" not in {name.lower() for name in facts.packages}:
            raise CellSyntaxError(
                f"{self._plan.magic}, needs IPython, which the image on {self._link.host.name}"
                " does not have: name an image with IPython by --image, or use plain Python"
            )

    def _refuse_size(self, encoded: Sequence[Encoded]) -> None:
        """Check again what only its encoding could tell the size of, each object once."""
        files = {each.ref.file_name: each.ref for each in reversed(encoded)}
        values = {ref.name: ref.size_bytes for ref in files.values()}
        snapshot, limit_bytes = self._plan.snapshot, self._plan.upload_limit_bytes
        if sum(values.values()) + (snapshot.size_bytes if snapshot else 0) > limit_bytes:
            refuse_size(values, snapshot.file_sizes if snapshot else {}, limit_bytes)

    def _spec(self, common: Sequence[Encoded]) -> RunSpec:
        plan, host = self._plan, self._link.host
        readable = own_abilities()
        if not host.loads_pickles:
            readable = readable - {"tables"}  # which unpickles the attributes of its files
        return RunSpec(
            run=plan.run,
            owner=plan.owner,
            title=plan.title,
            code=plan.code,
            filename=plan.filename,
            inputs=tuple(each.ref for each in common),
            outputs=plan.outputs,
            compare=plan.compare,
            project=plan.snapshot.manifest_chunk if plan.snapshot else None,
            image=self._image or None,
            limits=plan.limits,
            whole_host=plan.whole_host,
            env=tuple(plan.env),
            folder=plan.folder,
            collect=plan.baseline.folders if plan.baseline else (),
            abilities=tuple(sorted(readable)),
            futures=plan.futures,
            language=plan.language,
        )

    def _file_sizes(self) -> dict[str, int]:
        return self._plan.snapshot.sizes if self._plan.snapshot else {}

    def _prepare(
        self, sizes: dict[str, int], parts: dict[str, Part], on_large: Callable[[int], None]
    ) -> list[tuple[str, Part]]:
        """Send the host what it lacks, or return that when it fits into the submission."""
        unknown = [digest for digest in sizes if digest not in self._link.known]
        if sum(sizes[digest] for digest in unknown) <= INLINE_LIMIT_BYTES:
            return [(digest, self._read(digest, parts)) for digest in unknown]
        lacking = self._link.missing(unknown)
        on_large(sum(sizes[digest] for digest in lacking))
        self._put(lacking, parts)
        return []

    def _put(self, digests: Sequence[str], parts: dict[str, Part]) -> None:
        def read() -> Iterator[tuple[str, Part]]:
            for digest in digests:
                self._check()
                yield digest, self._read(digest, parts)

        self._link.put(read())

    def _read(self, digest: str, parts: dict[str, Part]) -> Part:
        if digest in parts:
            return parts[digest]
        assert self._plan.snapshot is not None
        return self._plan.snapshot.read(digest)


def _value_parts(encoded: Sequence[Encoded]) -> dict[str, Part]:
    return {
        chunk.digest: part
        for each in encoded
        for chunk, part in zip(each.ref.chunks, each.parts, strict=True)
    }

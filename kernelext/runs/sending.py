"""Turns a plan into what one host is sent, and sends what it lacks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from kernelext.errors import DaemonError, ValueCodecError
from kernelext.link import HostLink
from kernelext.models import INLINE_LIMIT_BYTES, ImageFacts, RunSpec, Task
from kernelext.runs.plan import RunPlan
from kernelext.values import Encoded, encode

SENDING_TRIES = 3
ABILITIES = frozenset({"numpy", "blosc2"})  # what the choice of a codec depends on
MIN_PYTHON = (3, 9)

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
        abilities = ABILITIES & {name.lower() for name in facts.packages}
        with self._lock:
            if (abilities, fold) not in self._done:
                namespace = self._plan.namespace
                self._done[abilities, fold] = tuple(
                    encode(name, value, namespace, abilities=abilities)
                    for name, value in values.items()
                )
            found = self._done[abilities, fold]
        self._compare_python(found, facts)
        return found

    def _compare_python(self, encoded: Sequence[Encoded], facts: ImageFacts) -> None:
        there = _minor(facts.python)
        if there < MIN_PYTHON:
            raise ValueCodecError(
                f"the image has Python {facts.python}; cells need Python 3.9 or later:"
                " name another image with --image"
            )
        pickled = [each.ref.name for each in encoded if each.ref.codec == "pickle"]
        if pickled and there != _minor(self._python):
            raise ValueCodecError(
                f"{', '.join(pickled)} can only travel as pickles, which need the same Python:"
                f" the notebook has {self._python}, the image {facts.python};"
                " name an image of the notebook's version with --image"
            )


def _minor(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


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

    def submit(self, folds: Sequence[str], attempt: int, on_large: Callable[[int], None]) -> None:
        """Send what the host lacks and queue the folds there.

        Parameters
        ----------
        folds : sequence of str
        attempt : int
        on_large : callable
            Told how many bytes are going to be sent, when it is more than a message.

        Raises
        ------
        ValueCodecError, BundleError
            Something cannot travel.
        LinkLost
            Call it again: what has arrived is there.
        """
        facts = self._link.image(self._plan.image_on(self._link.host))
        common = self._encoder.common(facts)
        own = {fold: self._encoder.of_fold(fold, facts) for fold in folds}
        spec = self._spec(common)
        tasks = [
            Task(fold, attempt, tuple(each.ref for each in encoded))
            for fold, encoded in own.items()
        ]
        parts = _value_parts([*common, *(each for some in own.values() for each in some)])
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

    def _spec(self, common: Sequence[Encoded]) -> RunSpec:
        plan = self._plan
        return RunSpec(
            plan.run,
            plan.owner,
            plan.title,
            plan.code,
            plan.filename,
            tuple(each.ref for each in common),
            plan.outputs,
            plan.compare,
            plan.snapshot.manifest_chunk if plan.snapshot else None,
            plan.image_on(self._link.host) or None,
            plan.limits,
            plan.whole_host,
            tuple(plan.env),
            plan.folder,
            plan.baseline.folders if plan.baseline else (),
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

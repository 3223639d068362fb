"""Removes an image; idle containers of ours that hold it go first, busy ones stop it."""

from __future__ import annotations

import time

from kernelext.daemon.attempts import Attempts
from kernelext.daemon.engine import Engine
from kernelext.daemon.imaging import Imaging
from kernelext.errors import EngineError

GONE_S = 30.0  # an engine that is busy takes seconds to remove a container
LOOK_S = 0.05


def remove_unused(image: str, engine: Engine, attempts: Attempts, imaging: Imaging) -> None:
    """Remove an image that no living run and no build needs.

    Raises
    ------
    ImageNotFound
    EngineError
        A run or a build needs it, or somebody else's container.
    """
    holders = engine.containers_of(image)
    living = [
        attempt.record
        for attempt in attempts.living()
        if attempt.record.spec.image == image or attempt.record.container in holders
    ]
    if living:
        runs = {record.spec.run: record.spec.title for record in living}
        told = ", ".join(f"{run} ({title})" for run, title in runs.items())
        raise EngineError(
            f"{image} is what {told} runs in: wait for it or `cancel` it, then remove the image"
        )
    if not set(holders).isdisjoint(imaging.containers()):
        raise EngineError(
            f"{image} is the base of an image that is being built: remove it when that is done"
        )
    for container in holders:
        engine.remove(container)
        _wait_gone(container, engine)
    engine.remove_image(image)


def _wait_gone(container: str, engine: Engine) -> None:
    """Wait where somebody else is removing it: then the engine answers before it is gone."""
    deadline_s = time.monotonic() + GONE_S
    while engine.status(container) is not None and time.monotonic() < deadline_s:
        time.sleep(LOOK_S)

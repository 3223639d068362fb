"""Holds what is chosen against the hashes that lines of requirements have (pip's ``--hash``)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from packaging.requirements import InvalidRequirement, Requirement

from kernelext.image.lines import OPTIONS
from kernelext.image.resolving import Pin
from kernelext.image.target import Target
from kernelext.recipe import normal_name

HASH = re.compile(r"\s--hash[ =]([a-z0-9]+:[0-9A-Fa-f]+)")


def hash_problem(lines: Iterable[str], pins: Iterable[Pin], target: Target) -> str:
    """Return which wheel is none of those that its lines allow; nothing where all are.

    A line may have more hashes than one: of the source, and of other platforms' wheels.

    Parameters
    ----------
    lines : iterable of str
        Requirements and constraints. What has no hash in them may be any.
    pins : iterable of Pin
    target : Target
        Lines for another Python or platform do not count.
    """
    allowed: dict[str, set[str]] = {}
    for line in lines:
        if found := {each.lower() for each in HASH.findall(line)}:
            allowed.setdefault(_name(line, target), set()).update(found)
    for pin in pins:
        known = allowed.get(normal_name(pin.name))
        if known is not None and f"sha256:{pin.sha256}" not in known:
            return (
                f"{pin.file_name} has the hash sha256:{pin.sha256}, which is none of those that are"
                f" written for {pin.name}: see who has changed it, or add"
                f" `--hash=sha256:{pin.sha256}` if it is to be trusted"
            )
    return ""


def _name(line: str, target: Target) -> str:
    """Return what a line asks for; empty where it does not hold, or uv says what is wrong."""
    try:
        asked = Requirement(OPTIONS.sub("", line))
    except InvalidRequirement:
        return ""
    environment = target.marker_environment() | {"extra": ""}
    holds = asked.marker is None or asked.marker.evaluate(environment)
    return normal_name(asked.name) if holds else ""

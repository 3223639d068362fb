"""Reads what a wheel says of itself: its extras, and what it needs from addresses."""

from __future__ import annotations

import contextlib
import re
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement

from kernelext.errors import ImageBuildError
from kernelext.image.lines import local_of
from kernelext.image.target import Target
from kernelext.image.wanted import Local
from kernelext.recipe import normal_name

METADATA = re.compile(r"[^/]+\.dist-info/METADATA")


def extras_of(wheel: Path) -> set[str]:
    """Return the names of a wheel's extras.

    Raises
    ------
    ImageBuildError
        It cannot be read as a wheel.
    """
    return {normal_name(each) for each in _metadata(wheel).get_all("Provides-Extra", ())}


def addressed_by(requirement: str, target: Target) -> list[Local]:
    """Return the packages that a wheel here takes from no index, by its own metadata.

    Parameters
    ----------
    requirement : str
        That names the wheel: ``NAME[EXTRAS] @ file:///PLACE``.
    target : Target

    Raises
    ------
    ImageBuildError
        It cannot be read as a wheel.
    """
    asked = Requirement(requirement)
    if not asked.url:
        return []
    wheel = Path(unquote(urlsplit(asked.url).path))
    found = []
    for need in _needs(wheel):
        known = [target.marker_environment() | {"extra": each} for each in ("", *asked.extras)]
        if need.url and (not need.marker or any(map(need.marker.evaluate, known))):
            extras = f"[{','.join(sorted(need.extras))}]" if need.extras else ""
            found.append(local_of(f"{need.name}{extras} @ {need.url}", wheel.parent))
    return [local for local in found if local is not None]


def package_name(requirement: str) -> str:
    """Return the normal name of what a requirement asks for.

    Examples
    --------
    >>> package_name("My_Own[plot] @ file:///wheels/my_own-1-py3-none-any.whl")
    'my-own'
    """
    return normal_name(Requirement(requirement).name)


def _needs(wheel: Path) -> Iterator[Requirement]:
    """Yield what a wheel needs; what is written in no such form is left to uv to judge."""
    for line in _metadata(wheel).get_all("Requires-Dist", ()):
        with contextlib.suppress(InvalidRequirement):
            yield Requirement(line)


def _metadata(wheel: Path) -> Message:
    try:
        with zipfile.ZipFile(wheel) as archive:
            name = next(each for each in archive.namelist() if METADATA.fullmatch(each))
            return message_from_bytes(archive.read(name))
    except (OSError, zipfile.BadZipFile, StopIteration) as exc:
        raise ImageBuildError(
            f"{wheel} cannot be read as a wheel; build or fetch it again"
        ) from exc

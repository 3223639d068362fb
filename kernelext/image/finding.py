"""Brings a ready image to a host that does not have it: from another host, else a registry."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from kernelext.errors import HostError, ImageNotFound, LinkError
from kernelext.image.jobs import Check, Say
from kernelext.image.registries import registry_auth
from kernelext.image.travel import copy_image
from kernelext.link import HostLink


def find_image(
    link: HostLink, image: str, others: Iterable[HostLink], say: Say, check: Check
) -> None:
    """Have an image on a host; nothing more is asked of one that has it than what it holds.

    Parameters
    ----------
    link : HostLink
        Connected.
    image : str
        Empty for the host's default one.
    others : iterable of HostLink
        Connected hosts that may have it.
    say : callable
        Told what is being done.
    check : callable
        Raises when the user wants it to stop.

    Raises
    ------
    ImageNotFound
        Nobody has it, and the host cannot pull it.
    EngineError, DiskFull
    """
    with contextlib.suppress(ImageNotFound):
        link.image(image, pulls=False)
        return
    for other in others:
        if _has(other, image, link):
            copy_image(other, link, image, say, check)
            return
    say(f"pulling {image}")
    link.image(image, auth=registry_auth(image))


def _has(other: HostLink, image: str, link: HostLink) -> bool:
    """Whether another host has an image, and for the processor of this one."""
    with contextlib.suppress(HostError, LinkError, TimeoutError):  # then the next one may
        machine = other.image(image, pulls=False).machine
        return machine == link.image("", pulls=False).machine
    return False

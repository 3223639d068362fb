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


def find_base(
    link: HostLink, image: str, others: Iterable[HostLink], say: Say, check: Check
) -> str:
    """Have an image on a host that need not have Python; its id. See `find_image`."""
    with contextlib.suppress(ImageNotFound):
        return link.find_image(image, pulls=False)[0]
    for other in others:
        if _has_also(other, image, link):
            copy_image(other, link, image, say, check)
            return link.find_image(image, pulls=False)[0]
    say(f"pulling {image}")
    return link.find_image(image, auth=registry_auth(image))[0]


def copy_built(
    link: HostLink, tag: str, others: Iterable[HostLink], say: Say, check: Check
) -> bool:
    """Bring an image that was built elsewhere to a host; whether it is there now."""
    with contextlib.suppress(ImageNotFound):
        link.find_image(tag, pulls=False)
        return True
    for other in others:
        if _has_also(other, tag, link):
            copy_image(other, link, tag, say, check)
            return True
    return False


def _has_also(other: HostLink, image: str, link: HostLink) -> bool:
    """Whether another host has an image, for this one's architecture; it may have no Python."""
    with contextlib.suppress(HostError, LinkError, TimeoutError):  # then the next one may
        architecture = other.find_image(image, pulls=False)[1]
        return architecture == link.find_image("", pulls=False)[1]
    return False

"""Brings a large result home, chunk by chunk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable

from kernelext.errors import DaemonError
from kernelext.link import HostLink
from kernelext.models import ValueRef
from kernelext.runs.follower import Follower


def fetch(link: HostLink, follower: Follower, ref: ValueRef, check: Callable[[], None]) -> None:
    """Write a result's chunks into its file at home.

    Called again after a cut it goes on with the chunk that was cut: what the partial file
    holds is whole.

    Parameters
    ----------
    check : callable
        Raises when the user wants it to stop; called between chunks.

    Raises
    ------
    LinkLost
    DaemonError
        When the host has not what it promised.
    """
    path = follower.account.value_path(ref)
    path.parent.mkdir(exist_ok=True, mode=0o700)
    # Another process may be bringing the same one.
    partial = path.with_name(f"{path.name}.{os.getpid()}.new")
    with partial.open("ab") as out:
        here_bytes, start = out.tell(), 0
        for chunk in ref.chunks:
            end = start + chunk.size_bytes
            if end > here_bytes:
                check()
                out.truncate(start)
                out.write(_chunk(link, follower, ref, chunk.digest))
                out.flush()
                here_bytes = end
            start = end
    partial.replace(path)


def distinct(refs: Iterable[ValueRef]) -> list[ValueRef]:
    """Keep one result a file: variables that share objects have theirs in common."""
    return list({ref.file_name: ref for ref in refs}.values())


def _chunk(link: HostLink, follower: Follower, ref: ValueRef, digest: str) -> bytes:
    data = link.get(follower.attempt, digest)
    if hashlib.sha256(data).hexdigest() != digest:
        raise DaemonError(f"{ref.name} is damaged on {link.host.name}; run the cell again")
    return data

"""Writes a host that was reached into the history."""

from __future__ import annotations

import time

from kernelext.history import History
from kernelext.link import HostLink
from kernelext.models import HostFacts


def note_host(history: History, link: HostLink, facts: HostFacts) -> None:
    """Note that a host was used now, how it is reached and what it says of itself."""
    host = link.host
    kind = "local" if host.is_local else "ssh" if host.ssh else "docker"
    history.touch_host(host.name, kind, host.source, time.time(), vars(facts))

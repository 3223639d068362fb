"""The links of a process: one a host, kept open between cells."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from kernelext.hosts.config import HostConfig
from kernelext.link.hostlink import HostLink


class LinkPool:
    """Hands out one `HostLink` a host.

    Parameters
    ----------
    environ : mapping
        Of the user, for SSH.
    local_state : Path
        State directory of the daemon of ``local``.
    """

    def __init__(self, environ: Mapping[str, str], local_state: Path) -> None:
        self._environ = environ
        self._local_state = local_state
        self._links: dict[str, HostLink] = {}
        self._lock = threading.Lock()

    def get(self, host: HostConfig) -> HostLink:
        """Return the host's link, connected or not; a changed configuration makes a new one."""
        with self._lock:
            link = self._links.get(host.name)
            if link is None or link.host != host:
                if link is not None:
                    link.close()
                link = self._links[host.name] = HostLink(host, self._environ, self._local_state)
            return link

    @contextlib.contextmanager
    def separate(self, host: HostConfig) -> Iterator[HostLink]:
        """Connect a link for one purpose, apart from the one that cells use.

        Raises
        ------
        LinkError, HostError
        """
        link = HostLink(host, self._environ, self._local_state)
        try:
            link.connect()
            yield link
        finally:
            link.close()

    def others(self, link: HostLink) -> list[HostLink]:
        """Return the links of other hosts with Docker that are connected now."""
        with self._lock:
            known = list(self._links.values())
        return [
            each
            for each in known
            if each.host != link.host and each.is_open and not each.host.is_local
        ]

    def close(self) -> None:
        """End all connections."""
        with self._lock:
            for link in self._links.values():
                link.close()
            self._links.clear()

"""Hosts are asked about very many files at once."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from kernelext.hosts.config import HostConfig
from kernelext.link.hostlink import BATCH_DIGESTS, HostLink
from kernelext.link.local import local_state_dir

from .conftest import retire_local

COUNT = 300_000


def test_host_is_asked_about_very_many_blobs(tmp_path: Path) -> None:
    digests = [hashlib.sha256(b"%d" % number).hexdigest() for number in range(COUNT)]
    state_dir = local_state_dir(tmp_path)
    link = HostLink(HostConfig("local"), os.environ, state_dir)
    try:
        link.connect()
        link.put([(digests[number], b"%d" % number) for number in (0, BATCH_DIGESTS)])
        lacking = link.missing(digests)
    finally:
        link.close()
        retire_local(state_dir)
    assert len(lacking) == COUNT - 2
    assert set(digests) - set(lacking) == {digests[0], digests[BATCH_DIGESTS]} == link.known

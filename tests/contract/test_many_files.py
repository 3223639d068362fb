"""Hosts are asked about very many files at once, and cells take them along."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from kernelext.hosts.config import HostConfig
from kernelext.link.hostlink import BATCH_DIGESTS, HostLink
from kernelext.link.local import local_state_dir

from .conftest import retire_local
from .notebook import Notebook

COUNT = 300_000
FILES = 20_000
READ = """%%remote local
from pathlib import Path
numbers = [int(path.read_text()) for path in Path().glob("part*/*.txt")]
found = len(numbers), sum(numbers)"""


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


def test_cell_takes_very_many_small_files_along(project: Path) -> None:
    for number in range(FILES):
        path = project / f"part{number // 500}" / f"{number}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{number}")
    with Notebook() as notebook:
        notebook.check(READ)
        assert notebook.names["found"] == (FILES, sum(range(FILES)))
        (project / "part7" / "3500.txt").write_text("0")
        notebook.check(READ)
        assert notebook.names["found"] == (FILES, sum(range(FILES)) - 3500)

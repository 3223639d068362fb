"""A folder's files as a tar."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

from kernelext.daemon.blobs import BlobStore
from kernelext.daemon.filetar import write_tar
from kernelext.daemon.statedir import StateDir
from kernelext.models import Chunk, FileEntry, to_json
from kernelext.recipe import EPOCH_S


def test_files_with_their_folders(tmp_path: Path) -> None:
    blobs = BlobStore(StateDir(tmp_path / "state"))

    def store(data: bytes) -> Chunk:
        digest = hashlib.sha256(data).hexdigest()
        blobs.put(digest, data)
        return Chunk(digest, len(data))

    entries = [
        FileEntry("a/b/c.txt", 0o640, (store(b"one"), store(b"two"))),
        FileEntry("empty", 0o644, ()),
        FileEntry("go", 0o644, (store(b"#!/bin/sh\n"),)),
        FileEntry("link", 0o777, (), "a/b"),
    ]
    manifest = store(json.dumps(to_json(entries)).encode())
    for name in ("first.tar", "second.tar"):
        write_tar(manifest, blobs, tmp_path / name, below="in", script="go")
    assert (tmp_path / "first.tar").read_bytes() == (tmp_path / "second.tar").read_bytes()
    with tarfile.open(tmp_path / "first.tar") as tar:
        found = {each.name: each for each in tar}
        content = tar.extractfile("in/a/b/c.txt")
        assert content is not None
        assert content.read() == b"onetwo"
    assert list(found) == ["in", "in/a", "in/a/b", "in/a/b/c.txt", "in/empty", "in/go", "in/link"]
    assert [oct(found[f"in/{name}"].mode) for name in ("a", "a/b/c.txt", "go")] == [
        "0o755",
        "0o640",
        "0o755",
    ]
    assert found["in/link"].linkname == "a/b"
    assert {(each.uid, each.mtime) for each in found.values()} == {(0, EPOCH_S)}

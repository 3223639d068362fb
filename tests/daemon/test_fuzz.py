"""A daemon answers nonsense with an error, writes nothing outside, and serves the others."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kernelext.daemon.blobs import BlobStore
from kernelext.daemon.statedir import StateDir
from kernelext.daemon.workdir import make_work, place_project, project_files
from kernelext.errors import DaemonError
from kernelext.link.archive import code_archive
from kernelext.link.client import DaemonClient
from kernelext.link.local import connect_local, start_local
from kernelext.models import Chunk, FileEntry, RunSpec, Task, to_json
from kernelext.wire import FrameDecoder, encode_frame

from ..contract.conftest import retire_local

quick = settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

OPS = (
    *("hello", "ping", "facts", "image", "missing", "put", "submit", "get", "interrupt"),
    *("kill", "release", "follow", "unfollow", "none"),
)
NASTY = ["", "..", "/etc/passwd", "../../x", "ab" * 32, "\0", "\ud800", -1, 2**70, float("nan")]
words = st.text(max_size=6)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | words | st.sampled_from(NASTY),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
SPEC = to_json(RunSpec("run", "me", "t", "x = 1", "f"))
TASK = to_json(Task("0", 1))
ATTEMPT = {"run": "run", "fold": "0", "attempt": 1}


def objects(likely: dict[str, object]) -> st.SearchStrategy[dict[str, object]]:
    """A good object with some fields replaced."""
    keys = st.sampled_from(sorted(likely)) | words
    return st.dictionaries(keys, json_values, max_size=3).map(lambda odd: {**likely, **odd})


headers = st.builds(
    lambda op, fields: {**fields, "op": op},
    st.sampled_from(OPS),
    st.fixed_dictionaries(
        {},
        optional={
            "id": json_values,
            "attempt": objects(ATTEMPT) | json_values,
            "digest": json_values,
            "digests": json_values,
            "image": json_values,
            "offset": json_values,
            "protocol": json_values,
            "cause": json_values,
            "kill": st.booleans(),
            "inline": json_values,
            "env": json_values,
            "follow": st.booleans(),
        },
    ),
)
# None of them can be queued: a run without tasks, or a run of that name.
NAMELESS = {**SPEC, "run": ".."}
submissions = st.one_of(
    objects(SPEC).map(lambda spec: {"spec": spec, "tasks": [], "inline": []}),
    objects(TASK).map(lambda task: {"spec": NAMELESS, "tasks": [task], "inline": []}),
    json_values.map(lambda odd: {"spec": NAMELESS, "tasks": odd, "inline": [["ab" * 32, 3]]}),
    json_values.map(lambda odd: {"spec": {**SPEC, "limits": odd}, "tasks": [], "inline": odd}),
).map(lambda fields: {**fields, "op": "submit", "id": 7})


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The state directory of a daemon that runs."""
    folder = tmp_path_factory.mktemp("fuzzed") / "state"
    start_local(folder, code_archive(), os.environ)
    yield folder
    log = (folder / "daemon.log").read_text()
    retire_local(folder)
    assert "Traceback" not in log, log[-3000:]


@pytest.fixture(scope="module")
def bystander(state_dir: Path) -> Iterator[DaemonClient]:
    """Another client of the daemon, connected all the time."""
    client = DaemonClient("local", connect_local(state_dir), lambda *_: None, lambda: None)
    yield client
    client.close()


def raw(state_dir: Path) -> socket.socket:
    """Connect without any manners."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(10)
    connection.connect(str(state_dir / "daemon.sock"))
    return connection


def answers(connection: socket.socket) -> list[dict[str, object]]:
    """Say that no more comes, and read all that the daemon says."""
    connection.shutdown(socket.SHUT_WR)
    decoder, found = FrameDecoder(), []
    while data := connection.recv(65536):
        found += [header for header, _ in decoder.feed(data)]
    return found


def check_alive(state_dir: Path, bystander: DaemonClient) -> None:
    """Assert that the others are served and nothing was queued or written."""
    bystander.request({"op": "ping"})
    facts, _ = bystander.request({"op": "facts"})
    assert (facts["facts"]["running"], facts["facts"]["queued"]) == (0, 0)
    assert {path.name for path in state_dir.parent.iterdir()} == {"state"}
    assert not list((state_dir / "runs").iterdir())


@quick
@example(struct.pack(">II", 2**32 - 1, 2**32 - 1))
@example(struct.pack(">II", 200_000, 0) + b"[" * 200_000)
@example(struct.pack(">II", 100, 100) + b"{}")
@given(st.binary(max_size=100))
def test_garbage_ends_its_own_connection(
    state_dir: Path, bystander: DaemonClient, data: bytes
) -> None:
    with raw(state_dir) as connection:
        connection.sendall(data)
        answers(connection)
    check_alive(state_dir, bystander)


@quick
@given(st.lists(st.tuples(headers | submissions, st.binary(max_size=20)), min_size=1, max_size=4))
def test_fuzzed_requests_are_each_answered(
    state_dir: Path,
    bystander: DaemonClient,
    requests: list[tuple[dict[str, object], bytes]],
) -> None:
    with raw(state_dir) as connection:
        for header, body in requests:
            connection.sendall(encode_frame(header, body))
        answered = [header for header in answers(connection) if "push" not in header]
    assert len(answered) == len(requests)
    check_alive(state_dir, bystander)


# manifests of a project

paths = st.lists(
    st.sampled_from(["a", "b", "..", ".", "", "a b", "é", "\0", "\ud800", "x" * 300]), max_size=4
).map("/".join)


def placed(folder: Path, manifest: object) -> set[str]:
    """Place a project by this manifest; all that is then below the folder, the state apart."""
    blobs = BlobStore(StateDir(folder / "state"))
    data = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
    chunk = Chunk(hashlib.sha256(data).hexdigest(), len(data))
    blobs.put(chunk.digest, data)
    blobs.put(hashlib.sha256(b"x").hexdigest(), b"x")
    work = folder / "work"
    os.close(make_work(work, None))
    before = set(work.rglob("*"))
    try:
        place_project(work, chunk, blobs, None)
    except (DaemonError, OSError):
        pass
    finally:
        project_files.cache_clear()
    return {str(path.relative_to(work)) for path in set(work.rglob("*")) - before}


@quick
@given(st.lists(paths, max_size=4))
def test_fuzzed_paths_stay_in_the_project(names: list[str]) -> None:
    chunks = (Chunk(hashlib.sha256(b"x").hexdigest(), 2**62),)
    manifest = to_json([FileEntry(name, 0o644, chunks) for name in names])
    with tempfile.TemporaryDirectory() as folder:
        found = placed(Path(folder), manifest)
        assert all(path.startswith("project/") for path in found)
        assert {path.name for path in Path(folder).iterdir()} == {"state", "work"}


@quick
@given(
    st.lists(objects(to_json(FileEntry("a", 0o644, ()))) | json_values, max_size=3)
    | json_values
    | st.binary(max_size=40)
)
def test_fuzzed_manifests_are_placed_or_refused(manifest: object) -> None:
    with tempfile.TemporaryDirectory() as folder:
        placed(Path(folder), manifest)
        assert {path.name for path in Path(folder).iterdir()} == {"state", "work"}


@pytest.mark.parametrize(
    "names",
    [["a", "a"], ["a", "a/b"], ["a/b/c", "a/b"], ["a\0b"], ["a\ud800"], ["a//b"], ["./a"], ["a/"]],
)
def test_manifest_that_cannot_be_is_refused_before_it_is_placed(
    tmp_path: Path, names: list[str]
) -> None:
    blobs = BlobStore(StateDir(tmp_path))
    data = json.dumps(to_json([FileEntry(name, 0o644, ()) for name in names])).encode()
    blobs.put(hashlib.sha256(data).hexdigest(), data)
    with pytest.raises(DaemonError):
        project_files(Chunk(hashlib.sha256(data).hexdigest(), len(data)), blobs)


def test_manifest_whose_blobs_are_missing_is_told_which(
    state_dir: Path, bystander: DaemonClient
) -> None:
    absent = Chunk("cd" * 32, 3)
    data = json.dumps(to_json([FileEntry("a", 0o644, (absent,))])).encode()
    manifest = Chunk(hashlib.sha256(data).hexdigest(), len(data))
    spec = {**SPEC, "project": to_json(manifest)}
    request = {
        "op": "submit",
        "spec": spec,
        "tasks": [TASK],
        "inline": [[manifest.digest, len(data)]],
    }
    answer, _ = bystander.request(request, data)
    assert answer["missing"] == [absent.digest]
    check_alive(state_dir, bystander)

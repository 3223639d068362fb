"""Every attempt ends, whatever its thread meets: nobody waits for ever."""

from __future__ import annotations

import hashlib
import json
import zipfile
from io import BytesIO
from pathlib import Path

from kernelext.daemon.adopted import ProcessRecords
from kernelext.daemon.attempts import Attempt, Attempts
from kernelext.daemon.blobs import BlobStore
from kernelext.daemon.capacity import Capacity
from kernelext.daemon.conductor import Conductor
from kernelext.daemon.engine import ContainerPlan, ContainerStatus
from kernelext.daemon.process_engine import ProcessEngine
from kernelext.daemon.pulse import Pulse
from kernelext.daemon.queue import Queue
from kernelext.daemon.statedir import StateDir
from kernelext.daemon.workdir import project_files
from kernelext.link.archive import code_archive
from kernelext.models import (
    JOURNAL_NAME,
    AttemptId,
    Chunk,
    EndCause,
    FileChanges,
    FileEntry,
    RunSpec,
    RunState,
    Task,
    to_json,
)

from ..contract.conftest import wait_until


class BrokenEngine(ProcessEngine):
    """One that fails in a way that nobody foresaw."""

    def create(self, plan: ContainerPlan) -> None:
        """Fail."""
        raise ZeroDivisionError("the engine broke")

    def status(self, name: str) -> ContainerStatus | None:
        """Fail."""
        raise ZeroDivisionError("the engine broke")


class Host:
    """A daemon's rooms without its door."""

    def __init__(self, root: Path, kind: type[ProcessEngine] = ProcessEngine) -> None:
        self.state = StateDir(root / "state")
        self.pulse = Pulse()
        self.attempts = Attempts(self.state, root / "secrets", self.pulse)
        self.attempts.load()
        self.blobs = BlobStore(self.state)
        code = root / "code"
        with zipfile.ZipFile(BytesIO(code_archive().data)) as archive:
            archive.extractall(code)
        records = ProcessRecords(root / "processes")
        self.engine = kind(code_dir=code, poke_dir=self.state.poke, records=records)
        self.conductor = Conductor(
            self.state, self.attempts, self.blobs, self.engine, self.pulse, "boot"
        )
        capacity = Capacity(*self.engine.capacity(), None)
        self.queue = Queue(self.attempts, self.conductor, self.engine, self.pulse, capacity)

    def store(self, data: bytes) -> Chunk:
        """Keep a blob."""
        chunk = Chunk(hashlib.sha256(data).hexdigest(), len(data))
        self.blobs.put(chunk.digest, data)
        return chunk

    def submit(self, code: str, project: Chunk | None = None) -> Attempt:
        """Queue an attempt."""
        spec = RunSpec("run", "me", "t", code, "f", project=project, collect=("data/output",))
        self.attempts.add(spec, Task("0", 1), {})
        return self.attempts.get(AttemptId("run", "0", 1))

    def wait_clear(self) -> None:
        """Return when nothing of an attempt is left below `work`."""
        wait_until(lambda: not list(self.state.work.iterdir()), "the work directory to go")


def wait_end(attempt: Attempt) -> None:
    wait_until(lambda: attempt.state.is_final, "the attempt to end")


def test_failure_that_nobody_foresaw_is_the_end(tmp_path: Path) -> None:
    host = Host(tmp_path, BrokenEngine)
    attempt = host.submit("x = 1")
    host.queue.begin()
    wait_end(attempt)
    assert attempt.record.end is not None
    assert attempt.record.end.cause is EndCause.INTERNAL
    assert "the engine broke" in attempt.record.end.message
    host.wait_clear()
    wait_until(lambda: not host.queue.facts("boot").running, "its slot to be free")


def test_cell_ends_whose_changes_cannot_be_looked_for(tmp_path: Path) -> None:
    """Its project's manifest is gone, as on a disk that is damaged."""
    host = Host(tmp_path)
    entry = FileEntry("data/output/a", 0o644, (host.store(b"a"),))
    manifest = host.store(json.dumps(to_json([entry])).encode())
    go = tmp_path / "go"
    code = f"import os, time\nwhile not os.path.exists({str(go)!r}):\n    time.sleep(0.01)"
    attempt = host.submit(code, manifest)
    host.queue.begin()
    wait_until(lambda: attempt.state is RunState.RUNNING, "the cell to begin")
    host.blobs.path(manifest.digest).unlink()
    project_files.cache_clear()  # as after a restart of the daemon
    go.touch()
    wait_end(attempt)
    assert attempt.state is RunState.DONE
    changes = FileChanges.from_json(json.loads(attempt.changes))
    assert [path for path, _ in changes.left] == ["data/output"]
    assert "could not be looked for" in changes.left[0][1]
    host.wait_clear()


def test_attempt_of_an_earlier_daemon_ends_that_cannot_be_resumed(tmp_path: Path) -> None:
    earlier = Host(tmp_path)
    attempt = earlier.submit("x = 1")
    earlier.attempts.change(
        attempt, state=RunState.RUNNING, container="kernelext-0123", boot_id="boot"
    )
    work = earlier.attempts.work(attempt)
    work.mkdir()
    (work / JOURNAL_NAME).touch()
    host = Host(tmp_path, BrokenEngine)
    host.queue.begin()
    attempt = host.attempts.get(attempt.id)
    wait_end(attempt)
    assert attempt.state is RunState.FAILED
    assert attempt.record.end is not None
    assert attempt.record.end.cause is EndCause.INTERNAL

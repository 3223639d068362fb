"""A project that has not changed since the last run: time before submission, bytes sent."""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import dataclass, field

from kernelext.history import History, history_path

from .report import Row, Section
from .scene import Scene
from .taps import Tap
from .timing import Sample

ROUNDS = 6
FILE_COUNTS = (100, 5000)
HOST = "host01"
CELL = f"%%remote {HOST}\ny = x + 1"
PAYLOAD_LIMIT_BYTES = 4096
QUIET_S = 0.3  # acknowledgements that come late
SUBMIT_LIMIT_MS = {100: None, 5000: 25.0}


@dataclass
class Seen:
    """What one project's runs have shown, a value a run."""

    before_s: list[float] = field(default_factory=list)
    floor_s: list[float] = field(default_factory=list)
    whole_s: list[float] = field(default_factory=list)
    wire_bytes: list[float] = field(default_factory=list)
    payload_bytes: list[float] = field(default_factory=list)
    sizes: list[dict[tuple[str, str], int]] = field(default_factory=list)


def measure(scene: Scene) -> list[Section]:
    """Run each project once for the first time, then several times."""
    scene.enter_project(1)
    scene.notebook.check(CELL)  # connects
    first = {count: Seen() for count in FILE_COUNTS}
    later = {count: Seen() for count in FILE_COUNTS}
    for count in FILE_COUNTS:  # one after the other: a host prepares the newest project
        _run(scene, count, first[count])
        for _ in range(ROUNDS):
            _run(scene, count, later[count])
            _ask_system(scene, count, later[count])
    return [_time_section(first, later), _bytes_section(first, later)]


def _run(scene: Scene, file_count: int, seen: Seen) -> None:
    scene.enter_project(file_count, "unchanged")
    scene.settle()
    host = scene.host(HOST)
    wire = sum(host.wire_bytes())
    with Tap() as tap:
        began = time.time()
        scene.notebook.check(CELL)
        seen.whole_s.append(time.time() - began)
        time.sleep(QUIET_S)
    seen.wire_bytes.append(sum(host.wire_bytes()) - wire)
    seen.before_s.append(tap.first("submit").at - began)
    seen.payload_bytes.append(_counted())
    seen.sizes.append(tap.sizes())


def _ask_system(scene: Scene, file_count: int, seen: Seen) -> None:
    """Time what no look at the files can do without: a listing a folder, an `lstat` a file."""
    path = scene.enter_project(file_count, "unchanged")
    folders = [str(each) for each in (path, *path.glob("part*"))]
    files = [str(each) for each in path.glob("part*/*.py")]
    assert len(files) == file_count
    scene.settle()
    began = time.perf_counter()
    for folder in folders:
        os.listdir(folder)  # noqa: PTH208
    for file in files:
        os.lstat(file)
    seen.floor_s.append(time.perf_counter() - began)


def _counted() -> int:
    """Ask the history what the newest run has moved."""
    with History.open(history_path(os.environ)) as history:
        run = history.runs(limit=1)[0]
    return run.sent_bytes + run.received_bytes


def _time_section(first: dict[int, Seen], later: dict[int, Seen]) -> Section:
    rows = []
    for count, seen in later.items():
        whole = Sample(tuple(first[count].whole_s))
        rows.append(Row(f"{count:,} files, all of them new: the whole cell", whole))
        before, limit = Sample(tuple(seen.before_s)), SUBMIT_LIMIT_MS[count]
        rows.append(
            Row(
                f"{count:,} files, unchanged: from the cell to its submission",
                before,
                at_most=limit,
            )
        )
        floor = Sample(tuple(seen.floor_s))
        rows.append(Row(f"{count:,} files: `os.lstat` of each, and no more", floor))
        rows.append(Row(f"{count:,} files, unchanged: the whole cell", Sample(tuple(seen.whole_s))))
    return Section("3. A project that has not changed since the last run: time", rows)


def _bytes_section(first: dict[int, Seen], later: dict[int, Seen]) -> Section:
    rows = []
    for count in FILE_COUNTS:
        for which, seen in (("first run", first[count]), ("unchanged", later[count])):
            limit = PAYLOAD_LIMIT_BYTES if which == "unchanged" else None
            wire, payload = Sample(tuple(seen.wire_bytes)), Sample(tuple(seen.payload_bytes))
            rows.append(Row(f"{count:,} files, {which}: payload", payload, "bytes", "", limit))
            note = "with SSH, TCP and Ethernet, both ways"
            rows.append(Row(f"{count:,} files, {which}: at the cable", wire, "bytes", note))
    small = later[FILE_COUNTS[0]].sizes
    kinds = sorted({kind for sizes in small for kind in sizes}, reverse=True)
    parts = []
    for kind in kinds:
        median = statistics.median([sizes.get(kind, 0) for sizes in small])
        parts.append(f"{' '.join(kind)} {median:.0f}")
    remarks = [f"unchanged payload, {FILE_COUNTS[0]} files, median bytes by kind of frame:"]
    remarks += ["  " + ", ".join(parts[start : start + 4]) for start in range(0, len(parts), 4)]
    title = "4. A project that has not changed since the last run: bytes, both ways"
    return Section(title, rows, remarks)

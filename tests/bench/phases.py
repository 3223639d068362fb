"""Where the trivial cell's time goes: the client's frames, Docker's and the journal's events.

All stamps are of one clock, since the lab's hosts are this machine.
"""

from __future__ import annotations

import json
import time
from itertools import pairwise

from kernelext.wire import FrameDecoder

from ..lab.host import Host
from .report import Row, Section
from .scene import Scene
from .taps import Tap
from .timing import Sample

ROUNDS = {100: 10, 5000: 4}
HOST = "host01"
CELL = f"%%remote {HOST}\ny = x + 1"

# Each phase ends with what it names.
STEPS = (
    ("notebook: read the cell, the files, Git; write history", "submit"),
    ("host: check the files, queue it; answer", "queued"),
    ("host: image inspected, container created", "created"),
    ("host: network attached", "networked"),
    ("host: container started", "started"),
    ("container: Python, supervisor; daemon claims", "claimed"),
    ("container: the cell's process imports, decodes, executes, encodes", "value"),
    ("container: leaves", "exit"),
    ("host: end arrives at the notebook", "end"),
    ("notebook: releases, history, binds", "returned"),
)
DOCKER_STEPS = {
    ("container", "create"): "created",
    ("network", "connect"): "networked",
    ("container", "start"): "started",
}


def measure(scene: Scene) -> list[Section]:
    """Take the cell's time apart, in a small project and in a large one."""
    return [_section(scene, file_count, rounds) for file_count, rounds in ROUNDS.items()]


def _section(scene: Scene, file_count: int, rounds: int) -> Section:
    scene.enter_project(file_count)
    host = scene.host(HOST)
    scene.notebook.check(CELL)
    seen = []
    for _ in range(rounds):
        scene.settle()
        seen.append(_stamps(scene, host))
    names = ["began", *(step for _, step in STEPS)]
    spans = [[each[after] - each[before] for before, after in pairwise(names)] for each in seen]
    rows = [
        Row(what, Sample(values))
        for (what, _), values in zip(STEPS, zip(*spans, strict=True), strict=True)
    ]
    whole = Sample(tuple(each["returned"] - each["began"] for each in seen))
    title = f"8. Where the trivial cell's time goes, {file_count:,} files in the project"
    return Section(title, [*rows, Row("the whole", whole)])


def _stamps(scene: Scene, host: Host) -> dict[str, float]:
    stamps = {"began": time.time()}
    with Tap() as tap:
        scene.notebook.check(CELL)
        stamps["returned"] = time.time()
    stamps["submit"] = tap.first("submit").at
    stamps["queued"] = tap.first("answer to submit").at
    stamps["end"] = tap.first("push end").at
    journal = b"".join(frame.body for frame in tap.frames if frame.kind == "push journal")
    for header, _ in FrameDecoder().feed(journal):
        if header["kind"] in ("value", "exit"):
            stamps[header["kind"]] = header["at"]
        elif header["kind"] == "state":
            stamps["claimed"] = header["at"]
    return {**stamps, **_docker_stamps(host, stamps["began"], stamps["returned"])}


def _docker_stamps(host: Host, since: float, until: float) -> dict[str, float]:
    window = ["--since", f"{since:.6f}", "--until", f"{until:.6f}"]
    said = host.exec("docker", "events", *window, "--format", "{{json .}}").stdout
    events = [json.loads(line) for line in said.splitlines()]
    found = {}
    for event in events:
        step = DOCKER_STEPS.get((event["Type"], event["Action"]))
        if step:
            found[step] = event["timeNano"] / 1e9
    return found

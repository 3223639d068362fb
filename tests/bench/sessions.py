"""A session's first moments, each in a fresh process: loading, and the first remote cell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from .report import Row, Section
from .scene import Scene
from .timing import Sample

ROUNDS = 5
HOST = "host01"
ROOT = Path(__file__).resolve().parents[2]
LOAD_LIMIT_MS = 150.0
ALIVE_LIMIT_MS = 500.0
FRESH_LIMIT_MS = 1000.0


def measure(scene: Scene) -> Section:
    """Time fresh sessions with the host's daemon alive and without it, turn by turn."""
    scene.enter_project(100)
    host = scene.host(HOST)
    scene.notebook.check(f"%%remote {HOST}\ny = x + 1")  # the image is probed, the files are there
    found: dict[str, list[dict[str, float]]] = {"alive": [], "fresh": []}
    for _ in range(ROUNDS):
        scene.settle()
        found["alive"].append(_session())
        scene.settle()
        scene.end_daemons(host)
        found["fresh"].append(_session())
    both = [*found["alive"], *found["fresh"]]
    return Section(
        "6. A session's first moments, each in a fresh process",
        [
            Row("%load_ext kernelext", _sample(both, "load_s"), at_most=LOAD_LIMIT_MS),
            *_rows("daemon alive", found["alive"], ALIVE_LIMIT_MS),
            *_rows("no daemon", found["fresh"], FRESH_LIMIT_MS),
        ],
    )


def _rows(which: str, found: list[dict[str, float]], limit_ms: float) -> list[Row]:
    return [
        Row(f"first cell, {which}", _sample(found, "whole_s"), at_most=limit_ms),
        Row("  of it imports, reading, the project's files", _sample(found, "prepared_s")),
        Row("  of it login and daemon", _sample(found, "connected_s")),
        Row("  of it sending and running", _sample(found, "ended_s")),
    ]


def _sample(found: list[dict[str, float]], key: str) -> Sample:
    return Sample(tuple(each[key] for each in found))


def _session() -> dict[str, float]:
    argv = [sys.executable, "-m", "tests.bench.session", HOST]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(argv, check=True, capture_output=True, text=True, env=environment)
    times: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return times

"""Five folds on three hosts against one host, and what would be ideal."""

from __future__ import annotations

import os

from .report import Row, Section
from .scene import SLOTS, Scene
from .timing import Sample, take_turns

FOLDS = 5
SLEEP_S = 2.0
WORK_S = 1.0

SLEEPS = f"import time\ntime.sleep({SLEEP_S})\ndone = fold"
WORKS = f"""\
import time
until_s = time.process_time() + {WORK_S}
while time.process_time() < until_s:
    sum(range(1000))
done = fold"""
ROUNDS = {SLEEPS: 3, WORKS: 2}


def measure(scene: Scene) -> Section:
    """Time both kinds of folds on one host and on all, turn by turn."""
    scene.enter_project(100)
    names = [host.name for host in scene.hosts]
    scene.notebook.check(_cell(WORKS, names))  # connects
    sleeping = _compare(scene, SLEEPS, names)
    working = _compare(scene, WORKS, names)
    cores = os.cpu_count() or 1
    one, three = _waves(1), _waves(len(names))
    # The lab's hosts are one machine: however many they are, its cores do the work.
    working_ideals = [max(waves * WORK_S, FOLDS * WORK_S / cores) for waves in (one, three)]
    count = len(names)
    return Section(
        f"2. {FOLDS} folds, {SLOTS} slots a host",
        [
            *_rows(f"sleep {SLEEP_S:g} s", sleeping, [one * SLEEP_S, three * SLEEP_S], count),
            *_rows(f"compute {WORK_S:g} s", working, working_ideals, count),
        ],
        [
            f"the hosts share this machine's {cores} cores: so do the starts of their containers,",
            "some 0.4 s of a core each, and the folds that compute",
        ],
    )


def _cell(code: str, names: list[str]) -> str:
    return f"%%folds 0-{FOLDS - 1} --on {','.join(names)}\n{code}"


def _compare(scene: Scene, code: str, names: list[str]) -> list[Sample]:
    def run(cell: str) -> None:
        scene.notebook.check(cell)
        assert scene.notebook.names["done"] == {fold: fold for fold in range(FOLDS)}

    one, three = _cell(code, names[:1]), _cell(code, names)
    contenders = {"one": lambda: run(one), "three": lambda: run(three)}
    taken = take_turns(ROUNDS[code], contenders, lambda: scene.settle(len(names)))
    return list(taken.values())


def _waves(hosts: int) -> int:
    return -(-FOLDS // (SLOTS * hosts))


def _rows(what: str, samples: list[Sample], ideals: list[float], count: int) -> list[Row]:
    rows = []
    for hosts, sample, ideal_s in zip(("1 host", f"{count} hosts"), samples, ideals, strict=True):
        note = f"ideal {ideal_s:.2f} s, {sample.median - ideal_s:+.2f} s over it"
        rows.append(Row(f"{what} each, {hosts}", sample, "s", note))
    gain = samples[0].per(samples[1])
    note = f"ideal {ideals[0] / ideals[1]:.2f} x"
    rows.append(Row(f"{what} each, 1 host / {count} hosts", gain, "x", note))
    return rows

"""`python -m tests.bench [NAME...]`: measures, prints one table, writes build/bench.json."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..lab.commands import say
from . import folds, image, phases, prints, reading, sessions, trivial, unchanged, values
from .report import Section, table
from .scene import Scene, set_scene

OUTPUT = Path("build/bench.json")
MEASUREMENTS: dict[str, Callable[[Scene], Section | list[Section]]] = {
    "trivial": trivial.measure,
    "folds": folds.measure,
    "unchanged": unchanged.measure,
    "reading": reading.measure,
    "sessions": sessions.measure,
    "prints": prints.measure,
    "phases": phases.measure,
    "values": values.measure,
    "image": image.measure,
}


def main() -> None:
    """Measure what is named, or everything."""
    parser = argparse.ArgumentParser("python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MEASUREMENTS))
    names = parser.parse_args().names or list(MEASUREMENTS)
    if unknown := set(names) - set(MEASUREMENTS):
        parser.error(f"no measurement {', '.join(sorted(unknown))}")
    output = OUTPUT.absolute()
    facts = machine()
    sections: list[Section] = []
    began_s = time.monotonic()
    with set_scene() as scene:
        for name in names:
            say(f"bench: {name}")
            found = MEASUREMENTS[name](scene)
            sections += found if isinstance(found, list) else [found]
    facts["took_s"] = round(time.monotonic() - began_s, 1)
    facts["load_after"] = os.getloadavg()
    output.parent.mkdir(exist_ok=True)
    content = {"machine": facts, "sections": [section.to_json() for section in sections]}
    output.write_text(json.dumps(content, indent=1) + "\n")
    print(table(sections))
    load = f"{facts['load_before'][0]:.1f} before, {facts['load_after'][0]:.1f} after"
    print(f"\n{facts['cores']} cores, load {load}; {facts['took_s']:.0f} s; all in {OUTPUT}")


def machine() -> dict[str, Any]:
    """Describe where and of what it is measured."""
    git = ["git", "describe", "--always", "--dirty"]
    version = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "commit": version,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": os.getloadavg(),
    }


if __name__ == "__main__":
    main()

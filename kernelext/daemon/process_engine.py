"""Throw-away processes instead of containers, for the host ``local``.

An empty folder and an empty home; memory is limited by a cgroup where that may be made,
else the supervisor watches. There is no other isolation.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from kernelext.daemon.adopted import ProcessRecords
from kernelext.daemon.engine import PROBE, THREAD_VARIABLES, ContainerPlan, ContainerStatus, Say
from kernelext.daemon.gpus import GpuFinding, process_gpus
from kernelext.errors import EngineError
from kernelext.models import HOME_DIR, ImageFacts
from kernelext.recipe import DockerRecipe, Package, Recipe

KEPT_VARIABLES = (
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "PYTHONUSERBASE",
    "SSL_CERT_FILE",
)
END_TIMEOUT_S = 5.0
NO_IMAGES = EngineError(
    "this host runs cells with its own Python and has no images; install there what they need, or"
    " name a host with Docker"
)
CGROUP_V1 = Path("/sys/fs/cgroup/memory")


class ProcessEngine:
    """Runs supervisors as processes of this machine.

    Parameters
    ----------
    code_dir, poke_dir : Path
    records : ProcessRecords
        By which a later daemon finds what runs on.
    """

    name = "process"
    cell_uid: int | None = None

    def __init__(self, *, code_dir: Path, poke_dir: Path, records: ProcessRecords) -> None:
        self._code_dir = code_dir
        self._poke_dir = poke_dir
        self._records = records
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._plans: dict[str, ContainerPlan] = {}
        self._ended: Callable[[], None] = lambda: None
        self._facts: ImageFacts | None = None
        self._gpus: GpuFinding | None = None

    def capacity(self) -> tuple[int, int]:
        """Return the machine's cores and memory in bytes."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return len(os.sched_getaffinity(0)), memory

    def gpus(self, *, again: bool = False) -> GpuFinding:
        """Return the GPUs that the notebook could use."""
        if self._gpus is None or again:
            self._gpus = GpuFinding(process_gpus(os.environ.get("CUDA_VISIBLE_DEVICES")))
        return self._gpus

    def default_image(self) -> str:
        """Return nothing: there are no images."""
        return ""

    def inspect_image(self, image: str, pulls: bool = True, auth: str = "") -> ImageFacts:
        """Probe the interpreter that cells run in."""
        if image:
            raise EngineError(
                f"`local` runs cells without containers, so it has no image {image};"
                " leave --image out or choose a host with Docker by --on"
            )
        if self._facts is None:
            argv = [sys.executable, "-B", "-c", PROBE]
            said = subprocess.run(argv, check=True, capture_output=True, cwd="/").stdout
            self._facts = ImageFacts("", **json.loads(said))
        return self._facts

    def read_image(self, image: str, paths: Sequence[str]) -> list[bytes | None]:
        """Refuse."""
        raise NO_IMAGES

    def build_image(
        self, recipe: Recipe, folder: Path, fetch: Callable[[Package, Path], None], say: Say
    ) -> str:
        """Refuse: cells run with this machine's own Python."""
        raise NO_IMAGES

    def find_image(self, image: str, pulls: bool = True, auth: str = "") -> tuple[str, str]:
        """Refuse."""
        raise NO_IMAGES

    def build_dockerfile(
        self, recipe: DockerRecipe, context: Path, say: Say, *, is_fresh: bool
    ) -> str:
        """Refuse."""
        raise NO_IMAGES

    def clear_build(self, folder: Path) -> None:
        """Remove nothing."""

    def list_images(self) -> list[dict[str, Any]]:
        """List nothing."""
        return []

    def export_image(self, image: str) -> Iterator[bytes]:
        """Refuse."""
        raise NO_IMAGES

    def load_image(self, size_bytes: int, data: Iterator[bytes]) -> list[str]:
        """Refuse."""
        raise NO_IMAGES

    def containers_of(self, image: str) -> list[str]:
        """Refuse."""
        raise NO_IMAGES

    def remove_image(self, image: str) -> None:
        """Refuse."""
        raise NO_IMAGES

    def create(self, plan: ContainerPlan) -> None:
        """Remember what to start."""
        self._plans[plan.name] = plan

    def start(self, name: str) -> None:
        """Start it; it waits for a claim."""
        plan = self._plans[name]
        argv = [sys.executable, str(self._code_dir), "runner", "--work", str(plan.work)]
        argv += ["--poke", str(self._poke_dir / "daemon")]
        cgroup = None
        if plan.memory_bytes:
            cgroup = _make_cgroup(name, plan.memory_bytes)
            limit = (
                ["--cgroup", str(cgroup)] if cgroup else ["--watch-bytes", str(plan.memory_bytes)]
            )
            argv += limit
        kept = {key: os.environ[key] for key in KEPT_VARIABLES if key in os.environ}
        environment = {
            **kept,
            "HOME": str(plan.work / HOME_DIR),
            **dict.fromkeys(THREAD_VARIABLES, str(plan.cores)),
            **self._gpu_variables(plan.gpus),
        }
        self._records.add(name, 0, cgroup)  # first: a daemon killed now leaves no orphan
        with (plan.work / "console").open("wb") as console:
            process = subprocess.Popen(
                argv,
                cwd=plan.work,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        self._records.add(name, process.pid, cgroup)
        self._processes[name] = process
        threading.Thread(target=self._wait, args=(process, cgroup), daemon=True).start()

    def _gpu_variables(self, chosen: tuple[str, ...]) -> dict[str, str]:
        if not self.gpus().gpus:
            return {}
        # Numbered as `nvidia-smi` does; none for a cell that has none, else it could take all.
        return {"CUDA_VISIBLE_DEVICES": ",".join(chosen), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}

    def _wait(self, process: subprocess.Popen[bytes], cgroup: Path | None) -> None:
        process.wait()
        if cgroup:
            with contextlib.suppress(OSError):
                cgroup.rmdir()
        self._ended()

    def status(self, name: str) -> ContainerStatus | None:
        """Say how it does; None when there is none of that name."""
        process = self._processes.get(name)
        if process is not None:
            code = process.poll()
            return ContainerStatus(code is None, code)
        if name not in self._records.names():
            return None
        return ContainerStatus(self._records.living_pid(name) is not None)

    def remove(self, name: str) -> None:
        """Have its supervisor kill all below it and end."""
        self._processes.pop(name, None)
        self._plans.pop(name, None)
        self._records.end(name, END_TIMEOUT_S)

    def containers(self) -> list[str]:
        """List all that have not been removed, those of an earlier daemon too."""
        return self._records.names()

    def watch(self, ended: Callable[[], None]) -> None:
        """Call `ended` in a thread whenever one ends."""
        self._ended = ended

    def leave(self) -> None:
        """Leave nothing: there is nothing to delete."""


def _make_cgroup(name: str, memory_bytes: int) -> Path | None:
    """Make a memory cgroup below our own (v1), or None where that may not be."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        own = next(line.split(":", 2)[2] for line in lines if ":memory:" in line)
        cgroup = CGROUP_V1 / own.lstrip("/") / name
        cgroup.mkdir()
    except (OSError, StopIteration):
        return None
    try:
        (cgroup / "memory.limit_in_bytes").write_text(str(memory_bytes))
        with contextlib.suppress(OSError):  # absent without swap accounting
            (cgroup / "memory.memsw.limit_in_bytes").write_text(str(memory_bytes))
    except OSError:
        cgroup.rmdir()
        return None
    return cgroup

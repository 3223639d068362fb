"""The NVIDIA GPUs of a machine, found by what its driver and its own program say."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DRIVER = Path("/proc/driver/nvidia/gpus")
DEVICES = Path("/dev")
LISTING = re.compile(r"GPU \d+: (?P<name>.+) \(UUID: (?P<uuid>[^)]+)\)")
SMI_TIMEOUT_S = 20.0  # the driver takes seconds to wake a GPU that nobody has opened

NO_RUNTIME = (
    "Docker there has no NVIDIA runtime, so cells cannot use its GPUs; install"
    " nvidia-container-toolkit there, run `nvidia-ctk runtime configure --runtime=docker` and"
    " restart Docker (systemctl restart docker)"
)


@dataclass(frozen=True)
class Gpu:
    """One GPU: what an engine names it by, and its model."""

    id: str
    name: str


@dataclass(frozen=True)
class GpuFinding:
    """The GPUs that cells may use, and why those of the machine may not be used, if so."""

    gpus: tuple[Gpu, ...] = ()
    problem: str = ""


def driver_gpus(driver: Path = DRIVER) -> list[dict[str, str]]:
    """Read what the kernel's driver says of each GPU, in the order of the PCI bus.

    That is also the order of `nvidia-smi`. A container sees this of all GPUs of its host,
    whether it may use them or not.
    """
    found = []
    with contextlib.suppress(OSError):
        for folder in sorted(driver.iterdir()):
            pairs = (line.partition(":") for line in _read(folder / "information").splitlines())
            found.append({key.strip(): value.strip() for key, _, value in pairs})
    return found


def listed_gpus(text: str) -> list[Gpu]:
    """Read what ``nvidia-smi -L`` prints.

    Examples
    --------
    >>> listed_gpus("GPU 0: NVIDIA L4 (UUID: GPU-5a3e)")
    [Gpu(id='GPU-5a3e', name='NVIDIA L4')]
    """
    matches = (LISTING.match(line) for line in text.splitlines())
    return [Gpu(match["uuid"], match["name"]) for match in matches if match]


def process_gpus(
    allowed: str | None, driver: Path = DRIVER, devices: Path = DEVICES
) -> tuple[Gpu, ...]:
    """List the GPUs that processes of this machine can open; the ids are CUDA's numbers.

    Parameters
    ----------
    allowed : str or None
        The notebook's own CUDA_VISIBLE_DEVICES: on a shared machine it says which are its.
    """
    found = driver_gpus(driver)
    # In a container the driver may list GPUs whose devices are not there.
    found = [each for each in found if (devices / f"nvidia{each.get('Device Minor')}").exists()]
    named = [Gpu(each.get("GPU UUID", ""), each.get("Model", "NVIDIA GPU")) for each in found]
    # In a container with GPUs the driver's folder may be hidden.
    named = named or listed_gpus(_smi_listing())
    chosen = list(range(len(named))) if allowed is None else _chosen(allowed, named)
    return tuple(Gpu(str(number), named[number].name) for number in chosen)


def usable_ids(found: Sequence[dict[str, str]]) -> tuple[Gpu, ...]:
    """Name a driver's GPUs for NVIDIA's runtime: by UUID, else by number.

    The driver shows a UUID of question marks for a GPU that nobody has opened since the boot.
    """
    gpus = []
    for number, each in enumerate(found):
        uuid = each.get("GPU UUID", "?")
        gpus.append(Gpu(str(number) if "?" in uuid else uuid, each.get("Model", "NVIDIA GPU")))
    return tuple(gpus)


def _chosen(allowed: str, gpus: Sequence[Gpu]) -> list[int]:
    """Read CUDA_VISIBLE_DEVICES as CUDA does: numbers or UUIDs, up to the first wrong one."""
    numbers: list[int] = []
    for word in (part.strip() for part in allowed.split(",")):
        ids = [number for number, gpu in enumerate(gpus) if word and gpu.id.startswith(word)]
        if word.isdigit() and int(word) < len(gpus):
            ids = [int(word)]
        if len(ids) != 1:
            break
        numbers += ids
    return numbers


def _smi_listing() -> str:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            [program, "-L"], capture_output=True, text=True, timeout=SMI_TIMEOUT_S, check=False
        )
        return done.stdout
    return ""


def _read(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(errors="replace")
    return ""

"""Which GPUs a Docker engine can give to containers: found out by asking it for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kernelext.daemon.docker_api import DockerAPI, DockerError, plain_log
from kernelext.daemon.gpus import NO_RUNTIME, Gpu, GpuFinding, driver_gpus, listed_gpus, usable_ids

NO_DRIVER_WORDS = "could not select device driver"
NO_PROGRAM_WORDS = ("executable file not found", "no such file")


def device_requests(ids: Sequence[str]) -> list[dict[str, Any]]:
    """Ask an engine for these GPUs; for none, ask nothing."""
    if not ids:
        return []
    return [{"DeviceIDs": list(ids), "Capabilities": [["gpu"]]}]


def is_without_runtime(message: str) -> bool:
    """Whether the engine says, as it does at a start only, that it knows no GPUs."""
    return NO_DRIVER_WORDS in message


def find_gpus(api: DockerAPI, name: str, config: Mapping[str, Any]) -> GpuFinding:
    """Start a container with all GPUs and have it list them, where the host may have some.

    The daemon's own container sees no GPU, but what the kernel's driver says of them. Whether
    the engine can hand them on is in no list of its: a toolkit that it found at its start
    works without a registered runtime, and a registered one may have gone since.

    Parameters
    ----------
    name : str
        Of the container.
    config : mapping
        Its image, labels and host settings.
    """
    there = driver_gpus()
    info = api.call("GET", "/info")
    names = [*(info.get("Runtimes") or ())]
    names += [str(each.get("ID")) for each in info.get("DiscoveredDevices") or ()]
    if not there and not any("nvidia" in name for name in names):
        return GpuFinding()
    try:
        listed: Sequence[Gpu] = listed_gpus(_listing(api, name, config))
    except DockerError as exc:
        return _obstacle(str(exc), there)
    return GpuFinding(tuple(listed) or usable_ids(there))


def _listing(api: DockerAPI, name: str, config: Mapping[str, Any]) -> str:
    host = {**config["HostConfig"], "NetworkMode": "none"}
    host["DeviceRequests"] = [{"Count": -1, "Capabilities": [["gpu"]]}]
    wanted = {**config, "Entrypoint": ["nvidia-smi", "-L"], "HostConfig": host}
    api.call("POST", "/containers/create", wanted, name=name)
    try:
        api.call("POST", f"/containers/{name}/start")
        api.call("POST", f"/containers/{name}/wait")
        log = api.call("GET", f"/containers/{name}/logs", stdout=1, stderr=1) or b""
    finally:
        api.call("DELETE", f"/containers/{name}", force=1, v=1)
    return plain_log(log)[0]


def _obstacle(message: str, there: list[dict[str, str]]) -> GpuFinding:
    if is_without_runtime(message):
        return GpuFinding(problem=NO_RUNTIME)
    if any(words in message for words in NO_PROGRAM_WORDS) and "nvidia-smi" in message:
        return GpuFinding(usable_ids(there))  # the runtime gives GPUs without their program
    if not there:
        return GpuFinding()  # a toolkit on a machine without GPUs
    line = (message.splitlines() or ["no reason given"])[0][:200]
    return GpuFinding(
        problem=f"Docker there cannot use its GPUs ({line});"
        " see there that `docker run --rm --gpus all IMAGE nvidia-smi` works"
    )

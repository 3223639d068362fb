"""Containers by a Docker engine, hardened: DESIGN 4."""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from kernelext.daemon.docker_api import DockerAPI, DockerError, plain_log
from kernelext.daemon.docker_build import build_dockerfile, clear_build
from kernelext.daemon.docker_files import read_files
from kernelext.daemon.docker_gpus import device_requests, find_gpus, is_without_runtime
from kernelext.daemon.docker_images import DockerImages
from kernelext.daemon.engine import PROBE, THREAD_VARIABLES, ContainerPlan, ContainerStatus, Say
from kernelext.daemon.gpus import NO_RUNTIME, GpuFinding
from kernelext.daemon.installing import CAPABILITIES, Installation
from kernelext.daemon.pieces import BUILD_MOUNT, Containers
from kernelext.errors import EngineError, ImageNotFound
from kernelext.models import HOME_DIR, ImageFacts
from kernelext.recipe import NAMESPACE, DockerRecipe, Package, Recipe

CELL_UID = 10001
CODE_MOUNT = "/kernelext/code"
WORK_MOUNT = "/kernelext/work"
POKE_MOUNT = "/kernelext/poke"
PIDS_LIMIT = 4096
LABEL = "kernelext.container"
STATE_LABEL = "kernelext.state"
OWNER_LABEL = "kernelext.owner"
RETRY_S = 1.0
CONTAINERD_STORE = "io.containerd.snapshotter"
FOREIGN_WORDS = "exec format error"


class DockerEngine:
    """The engine of the host that the daemon's own container runs on.

    Parameters
    ----------
    socket_path : str
        Of the engine.
    state_dir, code_dir, poke_dir : Path
        The same on the host as here.
    default_image : str
        For cells that name none.
    own_container : str
        What the daemon runs in.
    """

    name = "docker"
    cell_uid: int | None = CELL_UID

    def __init__(
        self,
        socket_path: str,
        *,
        state_dir: Path,
        code_dir: Path,
        default_image: str,
        own_container: str,
    ) -> None:
        self._api = DockerAPI(socket_path)
        self._state_dir = state_dir
        self._code_dir = code_dir
        self._default_image = default_image
        self._own_container = own_container
        self._facts_path = state_dir / "images.json"
        self._facts_lock = threading.Lock()
        self._gpus: GpuFinding | None = None

    def capacity(self) -> tuple[int, int]:
        """Return the machine's cores and memory in bytes."""
        info = self._api.call("GET", "/info")
        return int(info["NCPU"]), int(info["MemTotal"])

    def gpus(self, *, again: bool = False) -> GpuFinding:
        """Return the GPUs that the engine gives to containers."""
        if self._gpus is None or again:
            name = f"kernelext-gpus-{secrets.token_hex(4)}"
            config = {
                "Image": self._default_image,
                "Labels": self._labels(name, ""),
                "HostConfig": _hardened(),
            }
            self._gpus = find_gpus(self._api, name, config)
        return self._gpus

    def default_image(self) -> str:
        """Return the daemon's own image."""
        return self._default_image

    # images

    def inspect_image(self, image: str, pulls: bool = True, auth: str = "") -> ImageFacts:
        """Look an image up, pull it where it is absent and may be pulled, and probe it once."""
        digest, _ = self.find_image(image, pulls, auth)
        with self._facts_lock:
            known = self._known_facts()
            if "machine" not in known.get(digest, {}):
                known[digest] = self._probe(image)
                partial = self._facts_path.with_suffix(".new")
                partial.write_text(json.dumps(known))
                partial.replace(self._facts_path)
            return ImageFacts(digest, **known[digest])

    def find_image(self, image: str, pulls: bool = True, auth: str = "") -> tuple[str, str]:
        """Look an image up, which need not have Python; its id and architecture."""
        try:
            return self._identity(image)
        except DockerError as exc:
            if exc.status != 404:
                raise
        if image.startswith(f"{NAMESPACE}/"):
            raise ImageNotFound(
                f"the image {image} is not on the host any more; run the cell again: a"
                " project's is built anew"
            )
        if not pulls:
            raise ImageNotFound(f"the image {image} is not on the host")
        self._pull(image, auth)
        return self._identity(image)

    def _identity(self, image: str) -> tuple[str, str]:
        found = self._api.call("GET", f"/images/{image}/json")
        return str(found["Id"]), str(found.get("Architecture", ""))

    def _pull(self, image: str, auth: str) -> None:
        problem = self._api.pull(image, auth)
        if problem:
            raise ImageNotFound(
                f"the image {image} is not on the host and cannot be pulled there"
                f" ({problem.splitlines()[0][:200]}); load it (docker load) or name another"
                " with --image"
            )

    def _known_facts(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(self._facts_path.read_text())
            if isinstance(found, dict):
                return found
        return {}

    def _probe(self, image: str) -> dict[str, Any]:
        name = f"kernelext-probe-{secrets.token_hex(4)}"
        config = {
            "Image": image,
            "Entrypoint": ["python3", "-B", "-c", PROBE],
            "Labels": self._labels(name, ""),
            "HostConfig": {"NetworkMode": "none", **_hardened()},
        }
        self._api.call("POST", "/containers/create", config, name=name)
        try:
            self._api.call("POST", f"/containers/{name}/start")
            code = self._api.call("POST", f"/containers/{name}/wait")["StatusCode"]
            log = self._api.call("GET", f"/containers/{name}/logs", stdout=1, stderr=1) or b""
        except DockerError as exc:
            if FOREIGN_WORDS in str(exc):
                raise self._foreign(image) from exc
            if "executable file not found" in str(exc) or "no such file" in str(exc):
                raise EngineError(
                    f"the image {image} has no python3; name one that has with --image"
                ) from exc
            raise
        finally:
            self.remove(name)
        said, complaint = plain_log(log)
        try:
            facts: dict[str, Any] = json.loads(said)
        except ValueError as exc:
            last = (complaint.strip().splitlines() or [f"exit {code}"])[-1]
            if FOREIGN_WORDS in last:
                raise self._foreign(image) from exc
            raise EngineError(
                f"python3 of the image {image} does not work ({last[:200]}); it must be"
                " Python 3.9 or later; name another image with --image"
            ) from exc
        return facts

    def read_image(self, image: str, paths: Sequence[str]) -> list[bytes | None]:
        """Read files out of an image; None for one that is not there."""
        name = f"kernelext-read-{secrets.token_hex(4)}"
        config = {
            "Image": image,
            "Entrypoint": ["/"],  # it is never started
            "Labels": self._labels(name, ""),
            "HostConfig": {"NetworkMode": "none", **_hardened()},
        }
        try:
            self._api.call("POST", "/containers/create", config, name=name)
        except DockerError as exc:
            if exc.status != 404:
                raise
            raise ImageNotFound(f"the image {image} is not on the host") from exc
        try:
            return read_files(self._api, name, paths)
        finally:
            self.remove(name)

    def build_image(
        self, recipe: Recipe, folder: Path, fetch: Callable[[Package, Path], None], say: Say
    ) -> str:
        """Build an image, unless it is there; its digest."""
        takes_parts = not self._stores_in_containerd()
        return self._images().build(recipe, folder, fetch, say, takes_parts=takes_parts)

    def _stores_in_containerd(self) -> bool:
        """Whether images lie where only whole ones are taken in ("containerd image store").

        Found out as the documentation of Docker Engine says.
        """
        status = self._api.call("GET", "/info").get("DriverStatus") or []
        return any(CONTAINERD_STORE in str(value) for pair in status for value in pair)

    def build_dockerfile(
        self, recipe: DockerRecipe, context: Path, say: Say, *, is_fresh: bool
    ) -> str:
        """Have a Dockerfile built, unless that is done; the image's digest."""
        return build_dockerfile(self._api, recipe, context, say, is_fresh=is_fresh)

    def clear_build(self, folder: Path) -> None:
        """Remove what a build has left that was cut off."""
        clear_build(self._api, folder)

    def list_images(self) -> list[dict[str, Any]]:
        """List the projects' images."""
        return self._images().list_all()

    def export_image(self, image: str) -> Iterator[bytes]:
        """Yield an image as a tar."""
        return self._images().export(image)

    def load_image(self, size_bytes: int, data: Iterator[bytes]) -> list[str]:
        """Take images in from a tar; what they are called."""
        return self._images().load(size_bytes, data)

    def containers_of(self, image: str) -> list[str]:
        """List this state directory's containers that were made of an image."""
        held = self._images().holders(image)
        return [name for name in held if name in set(self.containers())]

    def remove_image(self, image: str) -> None:
        """Remove an image."""
        self._images().remove(image)

    def _images(self) -> DockerImages:
        containers = Containers(self._builder, self._installer)
        return DockerImages(self._api, self._state_dir, containers)

    def _builder(self, image: str, folder: Path) -> dict[str, Any]:
        """Configure a container that builds in a folder and reaches nothing else."""
        return {
            "Image": image,
            "Entrypoint": ["python3", "-s", CODE_MOUNT, "builder", BUILD_MOUNT],
            "Env": ["PYTHONHASHSEED=0", "PYTHONPATH="],
            "User": f"{CELL_UID}:{CELL_UID}",
            "Tty": True,  # its log is plain lines
            "Labels": self._labels(folder.name, ""),
            "HostConfig": {
                "NetworkMode": "none",
                "Binds": [f"{folder}:{BUILD_MOUNT}", f"{self._code_dir}:{CODE_MOUNT}:ro"],
                **_hardened(),
            },
        }

    def _installer(self, image: str, folder: Path, work: Installation) -> dict[str, Any]:
        """Configure a container that runs an installation, by itself what a folder has."""
        given = {"NetworkMode": "none", "Binds": [f"{folder}:{BUILD_MOUNT}:ro"]}
        return {
            "Image": image,
            "Entrypoint": work.command,
            "Env": [f"{key}={value}" for key, value in work.variables.items()],
            "User": "0:0",
            "WorkingDir": work.folder,
            "Tty": True,  # its log is plain lines
            "Labels": self._labels(folder.name, ""),
            "HostConfig": {
                **({} if work.is_online else given),
                **_hardened(),
                "CapAdd": list(CAPABILITIES),
            },
        }

    def _foreign(self, image: str) -> EngineError:
        made_for = self._api.call("GET", f"/images/{image}/json").get("Architecture", "another")
        own = self._api.call("GET", "/info").get("Architecture", "another")
        return EngineError(
            f"the image {image} is for {made_for} and the host is {own}, so its Python does not"
            " start; name an image for the host's architecture with --image"
        )

    # containers

    def _labels(self, name: str, owner: str) -> dict[str, str]:
        return {LABEL: name, STATE_LABEL: str(self._state_dir), OWNER_LABEL: owner}

    def create(self, plan: ContainerPlan) -> None:
        """Create a container."""
        environment = {
            "HOME": f"{WORK_MOUNT}/{HOME_DIR}",
            "USER": "kernelext",
            "LOGNAME": "kernelext",
            **dict.fromkeys(THREAD_VARIABLES, str(plan.cores)),
        }
        if self.gpus().gpus and not plan.gpus:
            # An image may name all, which an engine obeys whose default runtime is NVIDIA's.
            environment["NVIDIA_VISIBLE_DEVICES"] = "void"
        limits: dict[str, Any] = {}
        if plan.memory_bytes:
            limits = {"Memory": plan.memory_bytes, "MemorySwap": plan.memory_bytes}
            limits["ShmSize"] = plan.memory_bytes // 2
        if plan.cpus:
            limits["NanoCpus"] = int(plan.cpus * 1e9)
        config = {
            "Image": plan.image,
            "Entrypoint": ["python3", CODE_MOUNT, "runner"],
            "Cmd": ["--work", WORK_MOUNT, "--poke", f"{POKE_MOUNT}/daemon"],
            "User": f"{CELL_UID}:{CELL_UID}",
            "WorkingDir": WORK_MOUNT,
            "Env": [f"{key}={value}" for key, value in environment.items()],
            "Labels": self._labels(plan.name, plan.owner),
            "HostConfig": {
                "Binds": [
                    f"{plan.work}:{WORK_MOUNT}",
                    f"{self._code_dir}:{CODE_MOUNT}:ro",
                    f"{self._state_dir / 'poke'}:{POKE_MOUNT}",
                ],
                **_hardened(),
                **limits,
                "DeviceRequests": device_requests(plan.gpus),
            },
        }
        try:
            self._api.call("POST", "/containers/create", config, name=plan.name)
        except DockerError as exc:
            raise EngineError(f"the Docker engine does not create a container: {exc}") from exc

    def start(self, name: str) -> None:
        """Start it; it waits for a claim."""
        try:
            self._api.call("POST", f"/containers/{name}/start")
        except DockerError as exc:
            if is_without_runtime(str(exc)):  # it was there when the daemon began
                self._gpus = GpuFinding(problem=NO_RUNTIME)
                raise EngineError(NO_RUNTIME) from exc
            raise EngineError(f"the Docker engine does not start a container: {exc}") from exc

    def status(self, name: str) -> ContainerStatus | None:
        """Say how it does; None when there is none of that name."""
        try:
            state = self._api.call("GET", f"/containers/{name}/json")["State"]
        except DockerError as exc:
            if exc.status == 404:
                return None
            raise
        waiting = state["Status"] == "created"
        return ContainerStatus(
            bool(state["Running"]) or waiting,
            int(state["ExitCode"]),
            bool(state["OOMKilled"]),
        )

    def remove(self, name: str) -> None:
        """Kill and delete it; one that is gone is fine."""
        with contextlib.suppress(DockerError):
            self._api.call("DELETE", f"/containers/{name}", force=1, v=1)

    def containers(self) -> list[str]:
        """List this state directory's containers."""
        filters = json.dumps({"label": [LABEL, f"{STATE_LABEL}={self._state_dir}"]})
        found = self._api.call("GET", "/containers/json", all=1, filters=filters)
        return [str(each["Labels"][LABEL]) for each in found]

    def watch(self, ended: Callable[[], None]) -> None:
        """Call `ended` in a thread whenever some container ends."""
        filters = json.dumps({"type": ["container"], "event": ["die"], "label": [LABEL]})

        def follow() -> None:
            while True:
                with contextlib.suppress(EngineError, OSError, ValueError):
                    for _ in self._api.lines("GET", "/events", filters=filters):
                        ended()
                time.sleep(RETRY_S)  # the engine restarts

        threading.Thread(target=follow, name="engine-events", daemon=True).start()

    def leave(self) -> None:
        """Delete the daemon's own container."""
        if self._own_container:
            self.remove(self._own_container)


def _hardened() -> dict[str, Any]:
    return {
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "PidsLimit": PIDS_LIMIT,
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "1"}},
    }

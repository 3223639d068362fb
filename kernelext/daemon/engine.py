"""What the daemon needs of a container engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from kernelext.daemon.gpus import GpuFinding
from kernelext.models import ImageFacts
from kernelext.recipe import DockerRecipe, Package, Recipe

Say = Callable[[Mapping[str, Any]], None]

SAID_LINES = 20  # of a build's step that fails
SCRIPT_TAR = "script.tar"  # in a build's folder: a script and what lies beside it
SCRIPT_WORK = "kernelext/script"  # where it runs: below what no layer has

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)

PROBE = """
import importlib.metadata as m, json, platform
libc, version = platform.libc_ver()
print(json.dumps({"python": platform.python_version(), "machine": platform.machine(),
    "libc": version if libc == "glibc" else "",
    "packages": {d.metadata["Name"]: d.version for d in list(m.distributions())[::-1]
                 if d.metadata["Name"]}}))
"""  # of two distributions of one name the first is imported


@dataclass(frozen=True)
class ContainerPlan:
    """A container to create.

    Attributes
    ----------
    name : str
        Ours, unique.
    image : str
    owner : str
    work : Path
        Its private work directory on the host.
    cores : int
        Threads that numeric libraries are to use.
    cpus, memory_bytes : limits, None for none
    gpus : tuple of str
        Ids of the GPUs that it may use, and no other.
    """

    name: str
    image: str
    owner: str
    work: Path
    cores: int
    cpus: float | None = None
    memory_bytes: int | None = None
    gpus: tuple[str, ...] = ()


@dataclass(frozen=True)
class ContainerStatus:
    """What the engine says of a container."""

    is_running: bool
    exit_code: int | None = None
    is_out_of_memory: bool = False


class Engine(Protocol):
    """Creates, starts, watches and removes containers.

    A container is created and started unclaimed and waits on its control socket: a warm
    one is the same, kept.
    """

    name: str
    cell_uid: int | None  # who owns a work directory; None: whoever runs the daemon

    def capacity(self) -> tuple[int, int]:
        """Return the machine's cores and memory in bytes."""

    def gpus(self, *, again: bool = False) -> GpuFinding:
        """Return the GPUs that cells may use: looked for once, or now if `again`."""

    def default_image(self) -> str:
        """Return the image of a cell that names none."""

    def inspect_image(self, image: str, pulls: bool = True, auth: str = "") -> ImageFacts:
        """Look an image up, pull it where it is absent and may be pulled, and probe it once.

        Parameters
        ----------
        image : str
        pulls : bool
        auth : str
            The login to its registry (Docker Engine API, "Authentication").

        Raises
        ------
        ImageNotFound
        EngineError
            Also when it has no Python.
        """

    def read_image(self, image: str, paths: Sequence[str]) -> list[bytes | None]:
        """Read files out of an image; None for one that is not there.

        Parameters
        ----------
        image : str
        paths : sequence of str
            Absolute ones.

        Raises
        ------
        ImageNotFound
        """

    def build_image(
        self, recipe: Recipe, folder: Path, fetch: Callable[[Package, Path], None], say: Say
    ) -> str:
        """Build an image, unless it is there; its digest.

        Parameters
        ----------
        recipe : Recipe
        folder : Path
            For this build, and empty but for the tar of the recipe's script.
        fetch : callable
            Puts a package at a path.
        say : callable
            Told how far it is, a JSON object each time.

        Raises
        ------
        ImageNotFound
            The base is not there.
        EngineError
            A package cannot be installed, or the engine has no images or refuses this one.
        DiskFull
        """

    def find_image(self, image: str, pulls: bool = True, auth: str = "") -> tuple[str, str]:
        """Look an image up, which need not have Python; its id and architecture.

        Parameters
        ----------
        image, pulls, auth : see `inspect_image`

        Raises
        ------
        ImageNotFound
        """

    def build_dockerfile(
        self, recipe: DockerRecipe, context: Path, say: Say, *, is_fresh: bool
    ) -> str:
        """Have a Dockerfile built, unless that is done; the image's digest.

        Its stages stay too, with names that begin with `stage_head`.

        Parameters
        ----------
        recipe : DockerRecipe
        context : Path
            A tar with its files.
        say : callable
            Told what its steps say, and the container that does it, a JSON object each time.
        is_fresh : bool
            Whether every step is carried out, also those that the engine knows from before.

        Raises
        ------
        EngineError
            A step fails; it has the last that was said.
        DiskFull
        """

    def clear_build(self, folder: Path) -> None:
        """Remove what a build has left in the engine that was cut off, by its folder."""

    def list_images(self) -> list[dict[str, Any]]:
        """List the projects' images: ``tag``, ``digest``, ``size_bytes``."""

    def export_image(self, image: str) -> Iterator[bytes]:
        """Yield an image as a tar that `load_image` reads.

        Raises
        ------
        ImageNotFound
        """

    def load_image(self, size_bytes: int, data: Iterator[bytes]) -> list[str]:
        """Take images in from a tar, which may be packed; what they are called.

        Raises
        ------
        EngineError
            It is no tar of images.
        DiskFull
        """

    def containers_of(self, image: str) -> list[str]:
        """List this state directory's containers that were made of an image.

        Raises
        ------
        ImageNotFound
        """

    def remove_image(self, image: str) -> None:
        """Remove an image.

        Raises
        ------
        ImageNotFound
        EngineError
            It is in use.
        """

    def create(self, plan: ContainerPlan) -> None:
        """Create a container."""

    def start(self, name: str) -> None:
        """Start it; it waits for a claim."""

    def status(self, name: str) -> ContainerStatus | None:
        """Say how it does; None when there is none of that name."""

    def remove(self, name: str) -> None:
        """Kill and delete it; one that is gone is fine."""

    def containers(self) -> list[str]:
        """List this state directory's containers."""

    def watch(self, ended: Callable[[], None]) -> None:
        """Call `ended` in a thread whenever some container ends."""

    def leave(self) -> None:
        """Do the daemon's last act: delete what it runs in."""

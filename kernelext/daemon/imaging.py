"""Images that are being built: one build a recipe, whoever asks and however often."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kernelext.daemon.blobs import BlobStore
from kernelext.daemon.engine import Engine
from kernelext.daemon.removal import remove_tree
from kernelext.daemon.statedir import StateDir
from kernelext.errors import DaemonError, DiskFull, KernelExtError
from kernelext.recipe import Recipe, Wheel

log = logging.getLogger(__name__)


class Build:
    """One image's building, in a thread of its own.

    Attributes
    ----------
    progress : dict
        The last that was said of it.
    digest : str
        Of the image, when it is there.
    error : KernelExtError or None
        Why it is not.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.progress: Mapping[str, Any] = {}
        self.digest = ""
        self.error: KernelExtError | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens."""
        return bool(self.digest) or self.error is not None


class Builds:
    """Builds images one after the other: each takes all cores.

    Parameters
    ----------
    state : StateDir
    blobs : BlobStore
    engine : Engine
    """

    def __init__(self, state: StateDir, blobs: BlobStore, engine: Engine) -> None:
        self._state = state
        self._blobs = blobs
        self._engine = engine
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._builds: dict[str, Build] = {}
        remove_tree(state.builds)  # of a daemon that was killed
        state.builds.mkdir(mode=0o711)

    @property
    def is_busy(self) -> bool:
        """Whether some build goes on."""
        with self._lock:
            return any(not build.is_over for build in self._builds.values())

    def ask(self, recipe: Recipe) -> Build:
        """Return a recipe's build, which is begun if none goes on."""
        with self._lock:
            build = self._builds.get(recipe.digest)
            if build is None:
                build = self._builds[recipe.digest] = Build(recipe)
                threading.Thread(target=self._run, args=(build,), daemon=True).start()
            elif build.is_over:
                del self._builds[recipe.digest]  # who asks again, asks for another
            return build

    def needed(self) -> list[str]:
        """Return the digests of the blobs that builds read."""
        with self._lock:
            going = [build for build in self._builds.values() if not build.is_over]
        return [chunk.digest for build in going for chunk in build.recipe.chunks]

    def containers(self) -> list[str]:
        """Return the containers that builds may be running."""
        return [path.name for path in self._state.builds.iterdir()]

    def _run(self, build: Build) -> None:
        folder = self._state.builds / f"kernelext-build-{secrets.token_hex(6)}"
        try:
            with self._turn:
                folder.mkdir()
                folder.chmod(0o711)
                build.digest = self._engine.build_image(
                    build.recipe, folder, self._place, lambda told: self._note(build, told)
                )
        except KernelExtError as exc:
            build.error = exc
        except OSError as exc:
            kind = DiskFull if exc.errno == 28 else DaemonError
            build.error = kind(f"the host's disk: {exc}")
        except Exception as exc:  # the client waits for a word
            log.exception("build.failed recipe=%s", build.recipe.digest)
            build.error = DaemonError(f"the image cannot be built ({exc!r})")
        finally:
            remove_tree(folder)

    def _note(self, build: Build, told: Mapping[str, Any]) -> None:
        build.progress = told

    def _place(self, wheel: Wheel, target: Path) -> None:
        self._blobs.join(wheel.chunks, target)
        target.chmod(0o444)

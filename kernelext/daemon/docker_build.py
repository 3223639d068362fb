"""Builds a Dockerfile by the engine's own builder, and takes away what that leaves beside it."""

from __future__ import annotations

import contextlib
import re
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kernelext.daemon.docker_api import DockerAPI, DockerError, engine_problem
from kernelext.daemon.engine import SAID_LINES, Say
from kernelext.errors import EngineError, HostError
from kernelext.recipe import NAMESPACE, DockerRecipe, stage_head

PIECE_BYTES = 1024 * 1024
LINE_LETTERS = 500
STEPS_NAME = "steps"  # in a build's folder: the ids of its containers and images, in their order
# What the builder says between what the steps say themselves.
STEP = re.compile(r"Step (\d+)/(\d+) : (.*)", re.DOTALL)
MADE = re.compile(r" ---> ([0-9a-f]{12})")
RUNNING = re.compile(r" ---> Running in ([0-9a-f]{12})")
COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def build_dockerfile(
    api: DockerAPI, recipe: DockerRecipe, context: Path, say: Say, *, is_fresh: bool
) -> str:
    """Build an image, unless it is there; see `Engine.build_dockerfile`."""
    if not _image_id(api, recipe.tag):
        before = {*_all_images(api), *_all_containers(api)}
        build = _Build(recipe, say, before, context.with_name(STEPS_NAME))
        try:
            build.run(api, context, is_fresh)
        except BaseException:
            clear_build(api, context.parent)
            raise
        _keep_stages(api, recipe.tag, build.stages, before)
    return _image_id(api, recipe.tag)


def clear_build(api: DockerAPI, folder: Path) -> None:
    """Remove what the steps of a build have left, which has failed or was cut off.

    Parameters
    ----------
    api : DockerAPI
    folder : Path
        The build's.
    """
    try:
        steps = (folder / STEPS_NAME).read_text().split()
    except FileNotFoundError:
        return
    after = _all_images(api)
    for step in reversed(steps):  # the newest first
        if after.get(step, []):
            continue
        with contextlib.suppress(EngineError):  # it is gone, or another build has begun with it
            if step in after:
                api.call("DELETE", f"/images/{step}", noprune=1)
            else:
                _remove_container(api, step)


def _remove_container(api: DockerAPI, container: str) -> None:
    """Remove a step's container, which the engine may be about to do: its image has to wait."""
    with contextlib.suppress(DockerError):
        api.call("DELETE", f"/containers/{container}", force=1, v=1)
    api.call("POST", f"/containers/{container}/wait", condition="removed")


class _Build:
    """One build, as the engine tells of it.

    Attributes
    ----------
    stages : list of str
        The short ids of the images that end its stages, without the last.
    """

    def __init__(
        self, recipe: DockerRecipe, say: Say, before: Collection[str], steps: Path
    ) -> None:
        self.stages: list[str] = []
        self._before = before
        self._steps = steps
        self._end = ""  # of the stage, as far as it has come
        self._recipe = recipe
        self._say = say
        self._step: dict[str, Any] = {}
        self._last: deque[str] = deque(maxlen=SAID_LINES)
        self._partial = ""

    def run(self, api: DockerAPI, context: Path, is_fresh: bool) -> None:
        """Have it built; the engine removes each step's container, also of one that fails."""
        files = self._recipe.context
        query = {"t": self._recipe.tag, "dockerfile": files.start, "rm": 1, "forcerm": 1}
        if is_fresh:
            query["nocache"] = 1
        size_bytes = context.stat().st_size
        try:
            for told in api.upload("/build", size_bytes, _pieces(context), **query):
                if "error" in told:
                    raise self._failure(str(told["error"]))
                self._hear(str(told.get("stream", "")) or str(told.get("status", "")) + "\n")
        except DockerError as exc:
            raise engine_problem(f"the engine does not build {files.start}: {exc}") from exc

    def _hear(self, text: str) -> None:
        """Take what is said; that of a program need not end where a line does."""
        step = STEP.fullmatch(text.rstrip("\n"))
        if step:
            self._begin(int(step[1]), int(step[2]), step[3])
            return
        running, made = RUNNING.match(text), MADE.match(text)
        if running and self._is_new(running[1]):
            self._tell(container=running[1])
        elif made and not self._is_first():
            self._end = made[1]
            self._is_new(made[1])
        elif not text.startswith((" ---> ", "Removing intermediate container ")):
            *lines, self._partial = (self._partial + text).split("\n")
            self._note(lines)

    def _begin(self, number: int, count: int, instruction: str) -> None:
        self._last.clear()
        self._partial = ""
        self._step = {"step": number, "of": count, "instruction": " ".join(instruction.split())}
        if self._is_first() and self._end:
            self.stages.append(self._end)
            self._end = ""
        self._tell()

    def _is_new(self, step: str) -> bool:
        """Whether it was not there before, and so is to go, whatever becomes of this daemon.

        A program can say whatever the builder says: what was there before is never touched.
        """
        if step in self._before:
            return False
        with self._steps.open("a") as file:
            file.write(f"{step}\n")
        return True

    def _is_first(self) -> bool:
        """Whether the step begins a stage: what it finds is not the build's own."""
        return str(self._step.get("instruction", "")).upper().startswith("FROM ")

    def _note(self, lines: list[str]) -> None:
        for line in lines:
            # Of a bar that is drawn again and again the last state counts.
            plain = COLOURS.sub("", line).rstrip().rpartition("\r")[2][:LINE_LETTERS]
            if plain.strip():
                self._last.append(plain)
        if self._last:
            self._tell(line=self._last[-1].strip())

    def _tell(self, **more: str) -> None:
        self._step.update(more)
        self._say(dict(self._step))

    def _failure(self, error: str) -> HostError:
        self._note([self._partial])
        file, step = self._recipe.context.start, self._step
        if not step:
            return engine_problem(f"the engine does not build {file}: {error}")
        instruction = step["instruction"][:LINE_LETTERS]
        where = f"{file} fails in step {step['step']} of {step['of']} ({instruction})"
        return engine_problem("\n".join((f"{where}: {error}", *self._last)))


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as content:
        while data := content.read(PIECE_BYTES):
            yield data


def _image_id(api: DockerAPI, image: str) -> str:
    """Return an image's id; empty where there is none."""
    try:
        return str(api.call("GET", f"/images/{image}/json")["Id"])
    except DockerError as exc:
        if exc.status != 404:
            raise
        return ""


def _all_images(api: DockerAPI) -> dict[str, list[str]]:
    """Return the names of all images by their short ids, those of single steps too."""
    listed = api.call("GET", "/images/json", all=1)
    return {_short(str(each["Id"])): _names(each) for each in listed}


def _all_containers(api: DockerAPI) -> list[str]:
    """Return the short ids of all containers."""
    return [str(each["Id"])[:12] for each in api.call("GET", "/containers/json", all=1)]


def _short(image: str) -> str:
    return image.partition(":")[2][:12]


def _names(listed: Mapping[str, Any]) -> list[str]:
    names = listed.get("RepoTags") or ()
    return [str(name) for name in names if not name.startswith("<none>")]


def _keep_stages(api: DockerAPI, tag: str, stages: Sequence[str], before: Collection[str]) -> None:
    """Name the stages of an image: the next build takes from them what has not changed.

    Somebody else's, which the engine has found, has a name already or is theirs to remove.
    """
    after = _all_images(api)
    for number, image in enumerate(stages, 1):
        is_ours = any(name.startswith(f"{NAMESPACE}/") for name in after.get(image, ()))
        if is_ours or (image not in before and image in after):
            repository, _, version = f"{stage_head(tag)}{number}".rpartition(":")
            api.call("POST", f"/images/{image}/tag", repo=repository, tag=version)

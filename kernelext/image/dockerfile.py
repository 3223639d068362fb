"""Builds a Dockerfile's image on a host, by the host's own engine."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from kernelext.errors import EngineError, HostError, ImageBuildError, ImageNotFound
from kernelext.image.finding import copy_built, find_base
from kernelext.image.folders import send_files, snapshot_of
from kernelext.image.jobs import Check, Say, finish, stopped_if_left
from kernelext.image.wanted import Folder
from kernelext.link import HostLink
from kernelext.recipe import DockerRecipe, Files, stage_head

NOTHING = "scratch"
IMAGE = re.compile(r"[\w.:/@-]*\w")
ESCAPE = re.compile(r"#\s*escape\s*=\s*([\\`])\s*", re.IGNORECASE)
VARIABLE = re.compile(r"\$(?:\{(\w+)(?::([-+])([^}]*))?\}|(\w+))")


class DockerfileBuild:
    """One Dockerfile and the folder that it is built from.

    Parameters
    ----------
    folder : Folder
    name : str
        What the image is called.
    turn : str
        Another one asks for another build of the same files.
    is_fresh : bool
        Whether every step is carried out, also those that the engine knows from before.
    """

    def __init__(self, folder: Folder, name: str, turn: str, is_fresh: bool) -> None:
        self._folder = folder
        self._name = name
        self._turn = turn
        self._is_fresh = is_fresh

    def build(
        self,
        link: HostLink,
        others: Iterable[HostLink],
        say: Say,
        check: Check,
        *,
        is_elsewhere: bool = False,
    ) -> list[str]:
        """Have the image on a host: it may be there, or on another that is connected.

        Parameters
        ----------
        link : HostLink
            Connected.
        others : iterable of HostLink
            Other hosts, which may have it, or what it starts from.
        say : callable
            Told what is being done.
        check : callable
            Raises when the user wants it to stop.
        is_elsewhere : bool
            Whether it is worth while to ask them for it.

        Returns
        -------
        list of str
            What its stages are called there, and itself as the last.

        Raises
        ------
        ImageNotFound
            What it starts from is nowhere.
        EngineError, DiskFull
            A step fails, or what comes of it has no Python.
        """
        snapshot = snapshot_of(self._folder)
        text = (snapshot.root / self._folder.start).read_text(encoding="utf-8", errors="replace")
        bases = [find_base(link, image, others, say, check) for image in base_names(text)]
        files = Files(snapshot.manifest_chunk, self._folder.start, self._turn)
        recipe = DockerRecipe(files, tuple(bases), self._name)
        holders = others if is_elsewhere else ()
        if not copy_built(link, recipe.tag, holders, say, check):
            with stopped_if_left(link, recipe, check):
                finish(
                    link,
                    lambda: link.build_dockerfile(recipe, is_fresh=self._is_fresh),
                    lambda missing: send_files(link, snapshot, missing, say, check),
                    say,
                    check,
                )
        listed = sorted(str(each["tag"]) for each in link.images())
        stages = [tag for tag in listed if tag.startswith(stage_head(recipe.tag))]
        tags = [*stages, recipe.tag]
        self._require_python(link, tags)
        return tags

    def _require_python(self, link: HostLink, tags: Sequence[str]) -> None:
        """Have no image there in which no cell can run."""
        try:
            link.image(tags[-1])
        except ImageNotFound:
            raise
        except EngineError as exc:
            for tag in tags:
                with contextlib.suppress(HostError):
                    link.remove_image(tag)
            raise EngineError(
                f"{self._folder.start} is built, but no cell can run in what it makes: {exc}"
            ) from exc


def base_names(text: str) -> list[str]:
    """Return the images that a Dockerfile starts or copies from, each once, its stages left out.

    What cannot be an image's name is left to the engine to refuse.

    Examples
    --------
    >>> base_names("ARG TAG=3\\nFROM a:$TAG AS one\\nFROM one\\nCOPY --from=b / /")
    ['a:3', 'b']
    """
    arguments: dict[str, str] = {}
    stages: set[str] = set()
    found: dict[str, None] = {}
    for word, rest in _instructions(text):
        if word == "ARG" and not stages and not found:
            name, _, value = rest.partition("=")
            arguments[name.strip()] = _expand(value.strip().strip("\"'"), arguments)
        elif word == "FROM":
            words = [each for each in rest.split() if not each.startswith("--")]
            image = _expand(words[0], arguments) if words else ""
            if image.lower() not in stages | {NOTHING, ""}:
                found[image] = None
            stages.add(words[2].lower() if len(words) > 2 else str(len(stages)))
        elif word in ("COPY", "ADD"):
            for each in rest.split():
                image = each.removeprefix("--from=")
                if image != each and image.lower() not in stages and not image.isdigit():
                    found[image] = None
    return [image for image in found if IMAGE.fullmatch(image)]


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    """Yield instructions with what follows them, continued lines joined, without comments."""
    lines = text.removeprefix("\ufeff").splitlines()
    directive = ESCAPE.fullmatch(lines[0].strip()) if lines else None
    escape = directive[1] if directive else "\\"
    joined = ""
    for line in lines:
        plain = line.strip()
        if not plain or plain.startswith("#"):
            continue
        joined += plain.removesuffix(escape)
        if plain.endswith(escape):
            continue
        word, _, rest = joined.replace("\t", " ").partition(" ")
        yield word.upper(), rest.strip()
        joined = ""


def _expand(text: str, arguments: Mapping[str, str]) -> str:
    """Put in the values of arguments, by the forms that Dockerfiles have for them."""

    def value(match: re.Match[str]) -> str:
        known = arguments.get(match[1] or match[4], "")
        if match[2] == "-":
            return known or match[3]
        return (match[3] if known else "") if match[2] == "+" else known

    return VARIABLE.sub(value, text)


def require_no_base(source: str, base: str | None) -> None:
    """Refuse a base beside a Dockerfile, which has its own.

    Raises
    ------
    ImageBuildError
    """
    if base:
        raise ImageBuildError(
            f"{source} is a Dockerfile, whose FROM says what it starts from: leave `base` out of"
            " [image]"
        )

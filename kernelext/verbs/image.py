"""``image``: builds the project's image on hosts; lists, removes, saves and loads images."""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from kernelext.errors import (
    HostError,
    ImageBuildError,
    ImageNotFound,
    KernelExtError,
    UnknownHost,
)
from kernelext.history import data_dir
from kernelext.hosts.config import HostConfig
from kernelext.hosts.sizes import size_text
from kernelext.image import (
    Built,
    Environment,
    load_image,
    packed_bytes,
    recipe_names,
    save_image,
    tags_built,
    tags_in_use,
)
from kernelext.image.jobs import Say
from kernelext.link import HostLink
from kernelext.recipe import NAMESPACE, PROJECTS
from kernelext.verbs.context import Context
from kernelext.verbs.environments import (
    IMPORTS,
    environment_of,
    environment_of_file,
    environment_of_recipe,
    is_file_of,
    is_of_imports,
    note_imports,
    projects_by_tag,
    require_no_other,
    require_no_ready_image,
)
from kernelext.verbs.imagehosts import named_hosts, on_host, on_hosts
from kernelext.verbs.neighbours import neighbours
from kernelext.verbs.table import text_table

HELP = "build the project's image on hosts; list, remove, save and load images"
ON = "hosts, with commas; without it the default host"
T = TypeVar("T")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    build = actions.add_parser(
        "build",
        help="build it now: what [image] asks for, else what notebook and project import",
        description="Build the project's image now. Without [image] in its kernelext.toml it holds"
        " what the notebook and the project import, in the versions of this machine.",
    )
    build.add_argument(
        "recipe",
        nargs="?",
        metavar="FILE|RECIPE",
        help="what the project's image is made of from now on: a Dockerfile, a file as [image]"
        " names it, or `imports`; or, instead of the project's, a base image: "
        + ", ".join(recipe_names()),
    )
    build.add_argument(
        "--upgrade",
        action="store_true",
        help="choose the newest versions again; without it those chosen before are kept",
    )
    build.add_argument("--on", metavar="HOSTS", help=ON)
    listed = actions.add_parser("ls", help="list the images that were built on hosts")
    listed.add_argument("--on", metavar="HOSTS", help="hosts, with commas; without it all used")
    remove = actions.add_parser("rm", help="remove images from hosts")
    remove.add_argument("images", nargs="*", metavar="IMAGE", help="as `image ls` names it")
    remove.add_argument(
        "--unused",
        action="store_true",
        help="all that were built from here and no project here uses now",
    )
    remove.add_argument("--on", metavar="HOSTS", help="hosts, with commas; without it all used")
    save = actions.add_parser("save", help="write an image to a file that `docker load` reads")
    save.add_argument("file", metavar="FILE", help="FILE.tar.gz")
    save.add_argument("image", nargs="?", help="without it the project's")
    save.add_argument("--on", metavar="HOST", help="where it is; without it the default host")
    load = actions.add_parser("load", help="take an image from a file to hosts")
    load.add_argument("file", metavar="FILE")
    load.add_argument("--on", metavar="HOSTS", help=ON)


def run(context: Context, options: argparse.Namespace) -> str:
    """Carry out an action and return its text.

    Raises
    ------
    ImageBuildError, HostError, LinkError
    """
    return ACTIONS[options.action](context, options)


def _build(context: Context, options: argparse.Namespace) -> str:
    lines: list[str] = []
    packs = False
    if options.recipe == IMPORTS:
        require_no_other(context, IMPORTS)
    if options.recipe and is_file_of(context, options.recipe):
        environment = environment_of_file(context, options.recipe)
    elif options.recipe and options.recipe != IMPORTS:
        environment, packs = environment_of_recipe(context, options.recipe), True
    else:
        environment, lines = _own_environment(context, again=options.recipe == IMPORTS)
    if options.upgrade:
        environment.upgrade()

    def build(link: HostLink, say: Say) -> str:
        with neighbours(context, link) as others:
            return _build_on(environment, link, others, say, packs=packs)

    lines.append(on_hosts(context, named_hosts(context, options.on), build))
    return "\n".join(lines)


def _own_environment(context: Context, *, again: bool) -> tuple[Environment, list[str]]:
    """Return the project's environment, by what it imports now, and what there is to say of it."""
    require_no_ready_image(context, IMPORTS)
    lines: list[str] = []
    if again or is_of_imports(context):
        unknown = note_imports(context).unknown
        if unknown:
            lines.append(f"not installed here, and left out: {', '.join(unknown)}")
    environment = environment_of(context)
    assert environment is not None
    return environment, lines


def _build_on(
    environment: Environment, link: HostLink, others: Iterable[HostLink], say: Say, *, packs: bool
) -> str:
    begun_s = time.monotonic()
    try:
        built = environment.build(link, say, lambda: None, others)
    except ImageNotFound:
        tag = environment.find(link)
        if not tag:
            raise
        base = environment.base_name(link.host)
        return f"{link.host.name} has {tag} and no {base}, over which to build it anew"
    took_s = time.monotonic() - begun_s
    packed = ""
    if packs:  # it is likely to be sent on
        size_bytes = packed_bytes(link, built.tag, say, lambda: None)
        packed = f"; {size_text(size_bytes)} compressed, base and all"
    facts = link.image(built.tag)
    return (
        f"{link.host.name} has {built.tag}: {_contents(environment, built, link.host)}, Python"
        f" {facts.python}; digest {facts.digest[:19]}; {took_s:.1f} s{packed}"
    )


def _contents(environment: Environment, built: Built, host: HostConfig) -> str:
    """Say what an image is made of."""
    wanted = environment.wanted
    parts = []
    if built.packages is not None:
        wheels, conda, debs = built.packages.wheels, built.packages.conda, built.packages.debs
        parts.append(f"{len(wheels)} wheels, {size_text(sum(each.size_bytes for each in wheels))}")
        parts += [f"{len(conda)} packages of conda"] if conda else []
        parts += [f"{len(debs)} Debian packages"] if debs else []
    if wanted.script is not None:
        parts.append(f"what {wanted.script.start} has changed")
    if wanted.dockerfile is not None:
        below = wanted.dockerfile.start
    else:
        below = environment.base_on(host) or "its default image"
    return f"{', '.join(parts)}, over {below}" if parts else f"what {below} makes"


def _list(context: Context, options: argparse.Namespace) -> str:
    projects = projects_by_tag(context)

    def rows(link: HostLink) -> list[list[str]]:
        return [
            [
                link.host.name,
                str(each["tag"]),
                str(each["digest"])[:19],
                size_text(int(each["size_bytes"])),
                ", ".join(sorted(projects.get(str(each["tag"]), ()))),
            ]
            for each in link.images()
        ]

    found, problems = _on_each(context, options.on, rows)
    lines = [text_table(["HOST", "IMAGE", "DIGEST", "SIZE", "PROJECTS"], found)] if found else []
    return "\n".join([*(lines or ["no images"]), *problems])


def _remove(context: Context, options: argparse.Namespace) -> str:
    if bool(options.images) == options.unused:
        raise ImageBuildError("name images, as `image ls` does, or say --unused")
    home = data_dir(context.environ)
    unused = tags_built(home) - tags_in_use(home).keys()
    problems: list[str] = []
    met: set[str] = set()

    def remove(link: HostLink) -> list[str]:
        there = {str(each["tag"]) for each in link.images()}
        met.update(there)
        removed = []
        for tag in sorted(there & (unused if options.unused else set(options.images))):
            try:
                link.remove_image(tag)
            except HostError as exc:
                problems.append(f"{link.host.name}: {exc}")
            else:
                removed.append(f"{link.host.name}: removed {tag}")
        return removed

    lines, silent = _on_each(context, options.on, remove)
    problems += silent
    absent = sorted(set(options.images) - met)
    if absent:
        problems.append(f"no host that was asked has {', '.join(absent)}, as `image ls` names it")
    if problems:
        raise HostError("\n".join([*lines, *problems]))
    return "\n".join(lines) or "nothing to remove"


def _save(context: Context, options: argparse.Namespace) -> str:
    (host,) = named_hosts(context, options.on)[:1]
    target = Path(options.file).expanduser()
    if target.is_dir():
        raise ImageBuildError(f"{target} is a folder: name a file, such as {target}/image.tar.gz")
    partial = target.with_name(f"{target.name}.{os.getpid()}.new")

    def save(link: HostLink, say: Say) -> str:
        with partial.open("wb") as out:
            image = options.image or _own_image(context, link, say)
            size_bytes = save_image(link, image, out, say, lambda: None)
        return f"{target} has {image}, {size_text(size_bytes)}"

    try:
        said = on_host(context, host, save)
        partial.replace(target)
    except OSError as exc:
        raise ImageBuildError(f"{target} cannot be written: {exc.strerror}") from exc
    finally:
        partial.unlink(missing_ok=True)
    return said


def _own_image(context: Context, link: HostLink, say: Say) -> str:
    environment = environment_of(context)
    if environment is None:
        raise ImageBuildError("this project has no image: name one, or `image build` first")
    with neighbours(context, link) as others:
        return environment.ready(link, say, lambda: None, others)


def _load(context: Context, options: argparse.Namespace) -> str:
    file = Path(options.file).expanduser()

    def load(link: HostLink, say: Say) -> str:
        images = load_image(link, file, say, lambda: None)
        return f"{link.host.name} has {', '.join(images)}{_use(context, link, images)}"

    return on_hosts(context, named_hosts(context, options.on), load)


def _use(context: Context, link: HostLink, images: Sequence[str]) -> str:
    """Have the project's cells use an image if it is one for them; say how it is used."""
    environment = None
    with contextlib.suppress(ImageBuildError):  # which the project's next cell says
        environment = environment_of(context)
    for image in images:
        is_ours = image.startswith(f"{NAMESPACE}/{PROJECTS}:")
        if environment is not None and is_ours and environment.adopt(link, image):
            return ": this project's cells run in it there"
    return f": `--image {images[0]}` runs a cell in it" if images else ""


def _on_each(
    context: Context, names: str | None, ask: Callable[[HostLink], list[T]]
) -> tuple[list[T], list[str]]:
    """Ask hosts, all that were ever used if none is named; what they say, and who says nothing."""
    known = [row.name for row in context.history.hosts() if row.name != "local"]
    found: list[T] = []
    problems = []
    for name in names.split(",") if names else known:
        try:
            with context.links.separate(context.host(name)) as link:
                found += ask(link)
        except UnknownHost as exc:
            if names:  # else it was used once, and is no more
                problems.append(f"{name}: {exc}")
        except (KernelExtError, TimeoutError) as exc:
            problems.append(f"{name}: {exc}")
    return found, problems


ACTIONS: dict[str, Callable[[Context, argparse.Namespace], str]] = {
    "build": _build,
    "ls": _list,
    "rm": _remove,
    "save": _save,
    "load": _load,
}

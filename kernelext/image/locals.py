"""Packages that no index has: folders, archives and Git revisions are built, wheels are taken."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.markers import InvalidMarker, Marker
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from kernelext.errors import ImageBuildError
from kernelext.image.fetching import fetch_file
from kernelext.image.jobs import Check, check_nothing
from kernelext.image.lines import BUILT_BY, WHEEL, fragment_of, is_package, is_path
from kernelext.image.logins import fill_in, hide_logins
from kernelext.image.metadata import extras_of
from kernelext.image.repositories import check_out, is_git
from kernelext.image.resolving import run_uv
from kernelext.image.target import Target
from kernelext.image.threads import begin, result
from kernelext.image.wanted import Local
from kernelext.recipe import normal_name

OWN_DATA = "data"  # of a project: what cells read and write there is no part of a package
# What a build, an installation or its like makes, and no wheel is made of.
LEFT_OUT = {"__pycache__", "node_modules"}
LEFT_OUT_ON_TOP = {"build", "dist", "venv", OWN_DATA}  # deeper down they are packages like any
LINKS = "--find-links "
DATE_S = "315532800"  # 1980: the wheel depends on what is built alone (SOURCE_DATE_EPOCH)


def fingerprint(local: Sequence[Local], lines: Iterable[str] = ()) -> str:
    """Return a digest that is another one when a file of the packages has changed.

    By size and mtime: a build that is one too many costs a second.

    Parameters
    ----------
    local : sequence of Local
    lines : iterable of str
        Requirements, of which some may name a folder of wheels of this machine.
    """
    stamped: list[tuple[str, Iterable[Path]]]
    stamped = [(each.place, _files(each.place)) for each in local]
    stamped += [(str(folder), sorted(folder.glob("*.whl"))) for folder in _link_folders(lines)]
    digest = hashlib.sha256()
    for place, files in stamped:
        digest.update(place.encode())
        for path in files:
            with contextlib.suppress(FileNotFoundError):  # it has just gone
                found = path.stat()
                digest.update(f"{path}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
    return digest.hexdigest() if stamped else ""


def _link_folders(lines: Iterable[str]) -> list[Path]:
    addresses = [line.removeprefix(LINKS) for line in lines if line.startswith(f"{LINKS}file:")]
    return [Path(unquote(urlsplit(address).path)) for address in addresses]


def is_gone(local: Local) -> bool:
    """Whether something stands in for a package that does not lie here any more."""
    return bool(local.instead) and not Path(local.place).exists()


def is_wanted(local: Local, target: Target) -> bool:
    """Whether a package is wanted on a Python and its platform.

    Raises
    ------
    ImageBuildError
        Its condition is none.
    """
    try:
        return not local.marker or Marker(local.marker).evaluate(target.marker_environment())
    except InvalidMarker as exc:
        raise ImageBuildError(
            f"{hide_logins(local.place)} is wanted where {local.marker!r}, which cannot be read;"
            " write a condition such as `; python_version >= '3.10'`"
        ) from exc


def requirement_of(
    local: Local,
    house: Path,
    target: Target,
    environ: Mapping[str, str],
    check: Check = check_nothing,
) -> str:
    """Have a package's wheel, and return the requirement that names it.

    Parameters
    ----------
    local : Local
    house : Path
        Where wheels are built, as ``DIGEST/FILE``.
    target : Target
    environ : mapping of str to str
    check : callable
        Raises when the user wants it to stop.

    Raises
    ------
    ImageBuildError
        It is not there, or cannot be built (this has the build's last lines); or it is another
        package, has not the extras, or is for another Python.
    """
    is_ready = local.place.endswith(WHEEL)
    if is_gone(local) or (local.instead and is_ready and not _fits(Path(local.place), target)):
        return local.instead
    _require_hash(local)
    if is_ready:
        wheel = _ready_wheel(Path(local.place))
    else:
        wheel = _build(local.place, house, environ, check)
    _require_named(wheel, local)
    if not _fits(wheel, target):
        advice = "name one that is" if is_ready else "it is built by this machine's own"
        raise ImageBuildError(
            f"{wheel.name} is not for Python {target.python} on {target.platform}, the base's;"
            f" {advice}, or name another base in [image]"
        )
    _require_extras(wheel, local)
    extras = f"[{','.join(local.extras)}]" if local.extras else ""
    return f"{wheel.name.partition('-')[0]}{extras} @ {wheel.as_uri()}"


def gone_problem(stand_ins: Sequence[Local], said: str) -> str:
    """Return why there is no solution, where it is for a file that is gone; else nothing.

    Parameters
    ----------
    stand_ins : sequence of Local
        Those for which the index's version was asked.
    said : str
        By whoever has looked for a solution.
    """
    for local in stand_ins:
        if re.search(rf"(?<![\w.-]){re.escape(local.name)}(?![\w-])", said):
            return (
                f"{local.instead} was installed here from {local.place}, which is gone or not for"
                " the base's Python, and the index has no such version: put the file back, or"
                " install one that the index has"
            )
    return ""


def _ready_wheel(place: Path) -> Path:
    if not place.is_file():
        raise ImageBuildError(
            f"the wheel {place} is not there; build or fetch it again, or ask for a version that"
            " an index has"
        )
    return place


def _build(place: str, house: Path, environ: Mapping[str, str], check: Check) -> Path:
    """Build a wheel into ``house/DIGEST/FILE``."""
    with tempfile.TemporaryDirectory(prefix="kernelext-") as scratch:
        source = _source(place, Path(scratch), environ, check)
        words = ["build", "--wheel", str(source), "--out-dir", scratch]
        words += ["--python", sys.executable, "--no-python-downloads"]
        fixed = {**environ, "SOURCE_DATE_EPOCH": DATE_S, "TMPDIR": scratch}
        folder = source if source.is_dir() else source.parent
        problem = f"the package {hide_logins(place)} cannot be built"
        run_uv(words, folder, fixed, problem, shows_lines=True, check=check)
        built = next(Path(scratch).glob("*.whl"))
        digest = _sha256(built)
        wheel = house / digest / built.name
        wheel.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(built, wheel)
    return wheel


def _source(place: str, scratch: Path, environ: Mapping[str, str], check: Check) -> Path:
    """Return the folder or the archive that is built, fetched where it is not here."""
    if is_git(place):
        return check_out(place, scratch / "git", environ, check)
    if not is_path(place):
        return _fetch(fill_in(place, environ), scratch, check)
    source = Path(place)
    if not source.exists():
        raise ImageBuildError(
            f"the local package {source} is not there; correct its path, or leave it out"
        )
    if source.is_dir() and not is_package(source):
        raise ImageBuildError(
            f"{source} is no package: it has none of {', '.join(BUILT_BY)}; write one there, or"
            " name another folder"
        )
    return source


def _fetch(address: str, scratch: Path, check: Check) -> Path:
    """Fetch a source archive."""
    target = scratch / unquote(urlsplit(address).path).rpartition("/")[2]
    stop = threading.Event()
    (job,) = begin([lambda: fetch_file(address, target, stop)])
    try:
        found = result(job, check)
    except OSError as exc:  # the library's errors are such, too
        raise ImageBuildError(
            f"{hide_logins(address)} cannot be fetched ({hide_logins(str(exc))}); see that it can"
            " be reached from here"
        ) from exc
    finally:
        stop.set()
    if found not in fragment_of(address).get("sha256", found).split(","):
        raise ImageBuildError(
            f"what arrives from {hide_logins(address)} has another SHA-256; see who has changed it"
        )
    return target


def _fits(wheel: Path, target: Target) -> bool:
    *_, tags = parse_wheel_filename(wheel.name)
    return not tags.isdisjoint(target.tags)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _require_hash(local: Local) -> None:
    if local.sha256 and Path(local.place).is_file():
        found = _sha256(Path(local.place))
        if found not in local.sha256:
            raise ImageBuildError(
                f"{local.place} has the hash sha256:{found}, which is none of those that are"
                f" written for it; see who has changed it, or write `--hash=sha256:{found}`"
            )


def _require_named(wheel: Path, local: Local) -> None:
    try:
        name, *_ = parse_wheel_filename(wheel.name)
    except InvalidWheelFilename as exc:
        raise ImageBuildError(
            f"{wheel} has not the name of a wheel (NAME-VERSION-PYTHON-ABI-PLATFORM.whl); give it"
            " back the name that it was built with"
        ) from exc
    if local.name and normal_name(local.name) != normal_name(name):
        raise ImageBuildError(
            f"{hide_logins(local.place)} is the package {name} and not {local.name}; write"
            f" `{name} @ ...`"
        )


def _require_extras(wheel: Path, local: Local) -> None:
    """Refuse extras that a package does not have: an installer would only leave them out."""
    if not local.extras:
        return
    known = extras_of(wheel)
    unknown = sorted({normal_name(each) for each in local.extras} - known)
    if unknown:
        there = f"it has {', '.join(sorted(known))}" if known else "it has none"
        raise ImageBuildError(
            f"{hide_logins(local.place)} has no extra called {', '.join(unknown)}; {there}: correct"
            " the name"
        )


def _files(place: str) -> Iterator[Path]:
    """Yield the files of a folder that a package may be built of, or the one file."""
    if Path(place).is_file():
        yield Path(place)
    for root, folders, names in os.walk(place):
        left_out = LEFT_OUT | LEFT_OUT_ON_TOP if root == place else LEFT_OUT
        folders[:] = sorted(
            name
            for name in folders
            if name not in left_out and not name.startswith(".") and not name.endswith(".egg-info")
        )
        for name in sorted(names):
            path = Path(root, name)
            if path.is_file() and not name.endswith((".pyc", ".ipynb")):
                yield path

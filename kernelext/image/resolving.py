"""From requirements to wheels with addresses and digests, by uv: nothing is installed here."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import uv
from packaging.utils import parse_wheel_filename

from kernelext.errors import ImageBuildError
from kernelext.image.jobs import Check, check_nothing
from kernelext.image.logins import hide_logins, without_logins
from kernelext.image.programs import TIMEOUT_S, run_program
from kernelext.image.target import Target
from kernelext.image.wanted import Wanted

SAID_LINES = 20
DRAWING = " \t\u2502\u251c\u2570\u2500\u25b6\xd7"  # of uv's errors
REFUSED = re.compile(r"authenticat|\(40[13] ")  # an index: then all in it is "not found"
PIP_INDEXES = {"PIP_INDEX_URL": "--default-index", "PIP_EXTRA_INDEX_URL": "--index"}


@dataclass(frozen=True)
class Pin:
    """One distribution of an environment, in the version and the file chosen.

    Attributes
    ----------
    name, version, file_name : str
    url : str
    sha256 : str
        Of the file.
    """

    name: str
    version: str
    file_name: str
    url: str
    sha256: str

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Pin:
        """Read the JSON form."""
        return cls(**{key: str(data[key]) for key in cls.__dataclass_fields__})


def resolve(
    wanted: Wanted,
    target: Target,
    folder: Path,
    environ: Mapping[str, str],
    earlier: str = "",
    *,
    check: Check = check_nothing,
) -> str:
    """Choose a wheel of everything that is needed; the lock that says which (by uv).

    Parameters
    ----------
    wanted : Wanted
    target : Target
    folder : Path
        The project's, whose settings of uv hold.
    environ : mapping of str to str
    earlier : str
        A lock whose versions are kept where they are still possible.
    check : callable
        Raises when the user wants it to stop.

    Returns
    -------
    str
        A ``pylock.toml`` (PEP 751).

    Raises
    ------
    ImageBuildError
        There is no solution.
    """
    if not wanted.requirements:
        return ""
    with tempfile.TemporaryDirectory(prefix="kernelext-") as scratch:
        asked, limits = Path(scratch, "requirements.in"), Path(scratch, "constraints.txt")
        lock = Path(scratch, "pylock.toml")
        asked.write_text("\n".join(wanted.requirements), encoding="utf-8")
        limits.write_text("\n".join(wanted.constraints), encoding="utf-8")
        overrides = Path(scratch, "overrides.txt")
        overrides.write_text("\n".join(wanted.overrides), encoding="utf-8")
        if earlier:
            lock.write_text(earlier, encoding="utf-8")
        words = ["pip", "compile", str(asked), "--constraints", str(limits), "--quiet"]
        words += ["--overrides", str(overrides)]
        words += ["--python-version", target.python, "--python-platform", target.platform]
        words += ["--only-binary", ":all:", "--no-python-downloads", "--no-header"]
        words += ["--prerelease", "allow"] if "--pre" in wanted.requirements else []
        words += ["--format", "pylock.toml", "--output-file", str(lock), *_indexes(environ)]
        what = f"{wanted.source} for Python {target.python}"
        run_uv(words, folder, environ, f"{what} cannot be resolved", check=check)
        return without_logins(lock.read_text(encoding="utf-8"))  # it is kept


def prefer(lock: str, versions: Mapping[str, str]) -> str:
    """Return a lock that `resolve` takes for an earlier one, with some versions beside its own.

    Parameters
    ----------
    lock : str
        Of `resolve`; may be empty.
    versions : mapping of str to str
        By name.
    """
    if not versions:
        return lock
    packages = tomllib.loads(lock).get("packages", ())
    kept = {str(each["name"]): str(each["version"]) for each in packages if "version" in each}
    lines = ['lock-version = "1.0"', 'created-by = "kernelext"']
    for name, version in sorted({**kept, **versions}.items()):
        lines += ["[[packages]]", f"name = {json.dumps(name)}", f"version = {json.dumps(version)}"]
    return "\n".join([*lines, ""])


def read_lock(lock: str, target: Target) -> tuple[Pin, ...]:
    """Return what a lock of `resolve` has chosen.

    Raises
    ------
    ImageBuildError
        Something has no wheel for this Python and platform.
    """
    return tuple(_pin(package, target) for package in tomllib.loads(lock).get("packages", ()))


def count_packages(lock: str) -> int:
    """Return how many packages a lock of `resolve` has."""
    return len(tomllib.loads(lock).get("packages", ()))


def run_uv(
    words: Sequence[str],
    folder: Path,
    environ: Mapping[str, str],
    problem: str,
    *,
    shows_lines: bool = False,
    check: Check = check_nothing,
) -> str:
    """Run uv and return what it prints.

    Parameters
    ----------
    words : sequence of str
    folder : Path
        Where it runs: its settings are looked for there.
    environ : mapping of str to str
    problem : str
        What an error begins with.
    shows_lines : bool
        Whether an error has the last lines as they are, of a build's log; else one sentence.
    check : callable
        Raises when the user wants it to stop.

    Raises
    ------
    ImageBuildError
        It says why not, in its last lines.
    """
    try:
        command = [uv.find_uv_bin(), *words, "--color", "never"]
        done = run_program(command, environ, folder=folder, check=check)
    except subprocess.TimeoutExpired as exc:
        raise ImageBuildError(f"{problem}: uv has not ended in {TIMEOUT_S:.0f} s") from exc
    if done.returncode and shows_lines:
        lines = hide_logins(done.stderr).strip().splitlines()[-SAID_LINES:]
        raise ImageBuildError("\n    ".join([f"{problem}; its last lines:", *lines]))
    if done.returncode:
        raise ImageBuildError(f"{problem}: {_reason(hide_logins(done.stderr))}")
    return done.stdout


def _reason(said: str) -> str:
    """Return what uv says, without its drawing, as one line."""
    lines = [re.sub(r"^(error|cause): ", "", line.strip(DRAWING)) for line in said.splitlines()]
    told = [line for line in lines if line and not line.startswith(("warning:", "hint:"))]
    refused = [line for line in lines if line.startswith("hint:") and REFUSED.search(line)]
    return " ".join([*told[-SAID_LINES:], *refused]) or "uv does not say why"


def _indexes(environ: Mapping[str, str]) -> list[str]:
    """Return where pip has been told to look, for uv, which does not read pip's settings."""
    if any(name.startswith("UV_") and "INDEX" in name for name in environ):
        return []
    words: list[str] = []
    for name, option in PIP_INDEXES.items():
        for address in environ.get(name, "").split():
            words += [option, address]
    return words


def _pin(package: Mapping[str, Any], target: Target) -> Pin:
    name, version = str(package["name"]), str(package.get("version", ""))
    files = package.get("wheels") or [each for each in (package.get("archive"),) if each]
    found = _best(files, target)
    if found is None:
        raise ImageBuildError(
            f"{name} {version} has no wheel for Python {target.python} on {target.platform};"
            " choose another version, or another base"
        )
    url = str(found["url"]) if "url" in found else Path(found["path"]).as_uri()
    return Pin(name, version, _file_name(found), url, str(found["hashes"]["sha256"]))


def _best(files: Sequence[Mapping[str, Any]], target: Target) -> Mapping[str, Any] | None:
    """Return the wheel that pip would choose; a lock has all that can be used."""
    ranks = {tag: rank for rank, tag in enumerate(target.tags)}
    worst = len(ranks)

    def rank(file: Mapping[str, Any]) -> int:
        *_, tags = parse_wheel_filename(_file_name(file))
        return min((ranks.get(tag, worst) for tag in tags), default=worst)

    ordered = sorted(files, key=rank)
    return ordered[0] if ordered and rank(ordered[0]) < worst else None


def _file_name(file: Mapping[str, Any]) -> str:
    place = unquote(urlsplit(str(file.get("url") or file.get("path"))).path)
    return str(file.get("name") or place.rpartition("/")[2])

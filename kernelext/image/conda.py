"""From specifications of conda's packages to files with addresses and digests, by py-rattler.

Nothing is installed here: what is chosen is for the base image's machine and C library.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kernelext.errors import ImageBuildError
from kernelext.image.jobs import Check, check_nothing
from kernelext.image.logins import hide_logins
from kernelext.image.resolving import DRAWING, SAID_LINES
from kernelext.image.threads import begin, result
from kernelext.image.wanted import Wanted

SUBDIRS = {"x86_64": "linux-64", "aarch64": "linux-aarch64"}
DEFAULT_CHANNEL = "conda-forge"
NO_DEFAULTS = "nodefaults"
# What `defaults` stands for has these names where other channels are, too.
DEFAULTS = {"defaults": ("main", "r")}
OLDEST_LINUX = "4.18"  # of what Docker's engine is maintained for
CUDA_VARIABLE = "CONDA_OVERRIDE_CUDA"
TIMEOUT_S = 600.0
HEADINGS = re.compile(r"^(Caused by|Cannot solve the request because of): ")
TRIED = "Request failed after "

Record = dict[str, Any]


def resolve_conda(
    wanted: Wanted,
    platform: str,
    cache: Path,
    environ: Mapping[str, str],
    earlier: Sequence[Record] = (),
    check: Check = check_nothing,
) -> list[Record]:
    """Choose a package of everything that is needed from the channels of an environment.

    Parameters
    ----------
    wanted : Wanted
    platform : str
        As uv calls it: ``x86_64-manylinux_2_36``.
    cache : Path
        Where the channels' lists are kept.
    environ : mapping of str to str
        ``CONDA_OVERRIDE_CUDA`` in it says which CUDA packages may ask for.
    earlier : sequence of dict
        What was chosen before, which is kept where it is still possible.
    check : callable
        Raises when the user wants it to stop.

    Returns
    -------
    list of dict
        What channels say of each, with ``url``, ``fn`` and ``channel``; each after what it needs.

    Raises
    ------
    ImageBuildError
        A channel cannot be reached, there is no solution, or py-rattler is not installed.
    """
    rattler = _library(wanted)
    specs = [_spec(text, wanted.source) for text in wanted.conda]
    channels = channels_of(wanted, [spec.channel for spec in specs if spec.channel])
    machine, _, libc = platform.partition("-manylinux_")
    subdir = SUBDIRS[machine]
    asked = {
        "specs": specs,
        "platforms": [subdir, "noarch"],
        "gateway": rattler.Gateway(cache_dir=cache, client=rattler.Client.default_client()),
        "virtual_packages": _virtual_packages(machine, libc.replace("_", "."), environ),
        "locked_packages": _locked(earlier),
    }
    try:
        found = _in_thread(lambda: rattler.solve(channels, **asked), check)
        ordered = rattler.PackageRecord.sort_topologically(found)
    except rattler.exceptions.SolverError as exc:
        raise ImageBuildError(
            f"the conda packages of {wanted.source} cannot be resolved for {subdir} in"
            f" {', '.join(_name(channel) for channel in channels)}: {_reason(exc)}"
        ) from exc
    except (rattler.exceptions.GatewayError, TimeoutError) as exc:
        raise ImageBuildError(
            f"{wanted.source} takes {_names(wanted)} from conda's channels, of which one cannot"
            f" be read ({_cause(exc)}); write them below `- pip:`, by their names there, or name"
            " channels under `channels:` that this machine reaches"
        ) from exc
    return [json.loads(record.to_json()) for record in ordered]


def _library(wanted: Wanted) -> Any:
    try:
        import rattler.exceptions  # an extra of ours, as it is large
    except ImportError as exc:
        raise ImageBuildError(
            f"{wanted.source} takes {_names(wanted)} from conda's channels, which needs"
            " py-rattler here; pip install 'kernelext[conda]', or write them below `- pip:`, by"
            " their names there"
        ) from exc
    return rattler


def channels_of(wanted: Wanted, named: Sequence[Any] = ()) -> list[Any]:
    """Return the channels of an environment, the first before the others.

    Parameters
    ----------
    wanted : Wanted
    named : sequence of rattler.Channel
        Those of single packages.

    Raises
    ------
    ImageBuildError
        What is named is no channel.
    """
    import rattler

    names = [name for name in wanted.channels if name != NO_DEFAULTS] or [DEFAULT_CHANNEL]
    names = [each for name in names for each in DEFAULTS.get(name, (name,))]
    try:
        channels = [rattler.Channel(name) for name in names]
    except Exception as exc:  # of a kind for each mistake
        raise ImageBuildError(
            f"{wanted.source} names a channel that is none ({exc}); correct its `channels:`"
        ) from exc
    return list({channel.base_url: channel for channel in (*channels, *named)}.values())


def _spec(text: str, source: str) -> Any:
    """Read the specification of a package, as `conda env create` does."""
    import rattler

    channel, colons, rest = text.rpartition("::")
    if channel in DEFAULTS:
        channel = DEFAULTS[channel][0]
    try:
        return rattler.MatchSpec(f"{channel}{colons}{rest}", strict=False)
    except Exception as exc:  # of a kind for each mistake
        raise ImageBuildError(
            f"{source} asks for {text!r}, which is no package of conda ({exc}); correct it"
        ) from exc


def _virtual_packages(machine: str, libc: str, environ: Mapping[str, str]) -> list[Any]:
    """Return what the machine has that packages may ask for (conda's "virtual packages")."""
    import rattler
    from rattler.package import BuildString

    found = {"__unix": "0", "__linux": OLDEST_LINUX, "__glibc": libc, "__archspec": "1"}
    if environ.get(CUDA_VARIABLE):
        found["__cuda"] = environ[CUDA_VARIABLE]
    return [
        rattler.GenericVirtualPackage(
            rattler.PackageName(name),
            rattler.Version(version),
            BuildString(machine if name == "__archspec" else "0"),
        )
        for name, version in found.items()
    ]


def _locked(earlier: Sequence[Record]) -> list[Any]:
    """Turn records back into those of the library, which reads them from files."""
    import rattler

    found = []
    with tempfile.TemporaryDirectory(prefix="kernelext-") as scratch:
        file = Path(scratch, "record.json")
        for record in earlier:
            file.write_text(json.dumps(record))
            with contextlib.suppress(Exception):  # of another version of the library: chosen anew
                read = rattler.PackageRecord.from_index_json(file, sha256=record["sha256"])
                place = (record["fn"], record["url"], record["channel"])
                found.append(rattler.RepoDataRecord(read, *place))
    return found


def _in_thread(work: Callable[[], Awaitable[Any]], check: Check) -> Any:
    """Await something where no event loop runs: a kernel has one of its own."""

    async def await_it() -> Any:
        return await asyncio.wait_for(work(), TIMEOUT_S)

    (job,) = begin([lambda: asyncio.run(await_it())])
    return result(job, check)


def _reason(exc: Exception) -> str:
    """Return what does not fit, as one line."""
    return " ".join(_lines(exc)[:SAID_LINES]).rstrip(".")


def _cause(exc: Exception) -> str:
    """Return what was asked for, and the end of the chain of causes."""
    lines = [line for line in _lines(exc) if not line.startswith(TRIED)] or ["it does not answer"]
    return ": ".join(dict.fromkeys((lines[0], lines[-1])))


def _lines(exc: Exception) -> list[str]:
    """Return what the library says, without its drawing and logins."""
    lines = [line.strip(f"{DRAWING}\u2514") for line in str(exc).splitlines()]
    return [hide_logins(HEADINGS.sub("", line)) for line in lines if line]


def _names(wanted: Wanted) -> str:
    return ", ".join(sorted(wanted.conda_names)) or "its Python"


def _name(channel: Any) -> str:
    return hide_logins(str(channel.name or channel.base_url))

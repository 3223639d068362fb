"""``gc``: frees disk, on hosts and at home, of what no run needs any more."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from kernelext.errors import HostError, KernelExtError
from kernelext.history import RunFilter, data_dir, iso_time
from kernelext.hosts import parse_duration_s
from kernelext.hosts.sizes import size_text
from kernelext.image.wheelhouse import Wheelhouse
from kernelext.runs.journal import VALUES_NAME
from kernelext.verbs.context import Context

HELP = "free disk: old blobs and unfetched results on hosts, old values at home"

PACKAGES = {"wheels": "wheels", "debs": "Debian packages", "conda": "packages of conda"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the options."""
    parser.add_argument(
        "names",
        nargs="*",
        metavar="HOST",
        help="only these (local is this machine); without one every host ever used",
    )
    parser.add_argument(
        "--older-than",
        metavar="TIME",
        default="7d",
        help="what was not used for so long (7d); 0 for all that no run needs",
    )
    parser.add_argument("--dry-run", action="store_true", help="list it, and leave it there")


def run(context: Context, options: argparse.Namespace) -> str:
    """Return what was freed, or would be.

    Raises
    ------
    HostError
        Some host could not be asked; the message has what was freed elsewhere.
    """
    text: str = options.older_than.strip()
    older_than_s = 0.0 if text in ("0", "0s") else parse_duration_s(text)
    names = options.names or ["local", *(row.name for row in context.history.hosts())]
    lines: list[str] = []
    failed = False
    for name in dict.fromkeys(names):
        if name == "local":
            lines += _home(context, older_than_s, dry_run=options.dry_run)
        try:
            lines += _host(context, name, older_than_s, dry_run=options.dry_run)
        except (KernelExtError, TimeoutError) as exc:
            lines.append(f"{name}: {exc}")
            failed = True
    if failed:
        raise HostError("\n".join(lines))
    return "\n".join(lines)


def _host(context: Context, name: str, older_than_s: float, *, dry_run: bool) -> list[str]:
    with context.links.separate(context.host(name)) as link:
        removed = link.collect(context.settings.owner, older_than_s, dry_run=dry_run)
    lines = []
    for each in removed:
        size = size_text(each["size_bytes"])
        what = (
            f"{each['kind']} {each['name']}" if each["name"] else f"{each['count']} {each['kind']}"
        )
        lines.append(f"  {what}, {size}")
    return [_sum(name, sum(each["size_bytes"] for each in removed), dry_run=dry_run), *lines]


def _home(context: Context, older_than_s: float, *, dry_run: bool) -> list[str]:
    """Remove the values of old runs; journals and the history stay."""
    before = iso_time(time.time() - older_than_s)
    total = 0
    lines = []
    for row in context.history.find(RunFilter(until=before)):
        if not row.state.is_final or (row.ended_at or "") > before:
            continue
        size_bytes = sum(path.stat().st_size for path in _files(context.runs_dir / row.id))
        if size_bytes:
            total += size_bytes
            lines.append(f"  values of {row.id} ({row.title}), {size_text(size_bytes)}")
        if not dry_run:
            for folder in (context.runs_dir / row.id).glob(f"*/*/{VALUES_NAME}"):
                shutil.rmtree(folder, ignore_errors=True)
    for name, what in PACKAGES.items():
        packages = Wheelhouse(data_dir(context.environ) / name)
        size_bytes = packages.drop(time.time() - older_than_s, dry_run=dry_run)
        if size_bytes:
            total += size_bytes
            lines.append(f"  {what} of images, {size_text(size_bytes)}")
    return [_sum("at home", total, dry_run=dry_run), *lines]


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.glob(f"*/*/{VALUES_NAME}/*"):
        with contextlib.suppress(OSError):
            if path.is_file():
                yield path


def _sum(where: str, size_bytes: int, *, dry_run: bool) -> str:
    verb = "would free" if dry_run else "freed"
    return f"{where}: {verb} {size_text(size_bytes)}"

"""``doctor``: looks at this machine and at hosts, and says what to do; changes nothing."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kernelext.errors import KernelExtError
from kernelext.history import data_dir, history_path, inspect_history
from kernelext.hosts.inventory import config_path
from kernelext.hosts.sizes import size_text
from kernelext.link.checkup import FULL_BYTES, WANTED, Finding, HostCheckup
from kernelext.verbs.context import Context
from kernelext.verbs.parsing import ProblemsShown

HELP = "check this machine and hosts, and say what to do; nothing is changed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the options."""
    parser.add_argument(
        "names",
        nargs="*",
        metavar="HOST",
        help="only these; without one this machine and every host ever used",
    )


def run(context: Context, options: argparse.Namespace) -> str:
    """Return a line a finding.

    Raises
    ------
    ProblemsShown
        The same, when there is a problem.
    """
    names: list[str] = list(dict.fromkeys(options.names or ["local", *_used(context)]))
    with ThreadPoolExecutor(max(1, len(names))) as pool:
        found = list(pool.map(lambda name: list(_findings(context, name)), names))
    lines: list[str] = []
    for name, findings in zip(names, found, strict=True):
        lines.append("this machine" if name == "local" else name)
        lines += [_line(finding) for finding in findings]
    problems = sum(not finding.is_ok for findings in found for finding in findings)
    lines.append(f"{problems} problem{'s' * (problems != 1)}" if problems else "All is well.")
    text = "\n".join(lines)
    if problems:
        raise ProblemsShown(text)
    return text


def _line(finding: Finding) -> str:
    return f"  {'ok     ' if finding.is_ok else 'PROBLEM'}  {finding.what}: {finding.said}"


def _used(context: Context) -> list[str]:
    """Return the hosts of the history, which is not made for this."""
    try:
        if inspect_history(history_path(context.environ)):
            return [row.name for row in context.history.hosts()]
    except KernelExtError:
        pass
    return []


def _findings(context: Context, name: str) -> Iterator[Finding]:
    if name == "local":
        yield from _here(context)
        return
    try:
        host = context.host(name)
    except KernelExtError as exc:
        yield Finding("name", False, str(exc))
        return
    yield Finding("name", True, f"{host.ssh or 'this machine'}, from {host.source}")
    if host.ssh is not None:
        yield from HostCheckup(host, context.environ).findings()


def _here(context: Context) -> Iterator[Finding]:
    yield Finding("Python", True, f"{platform.python_version()}{_packages()}")
    path = config_path(context.environ)
    try:
        settings = context.settings
        said = f"{len(settings.hosts)} hosts, default {settings.default_host}"
        where = f"{path}: {said}" if path.exists() else f"none at {path}, which is fine; {said}"
        yield Finding("kernelext.toml", True, where)
    except KernelExtError as exc:
        yield Finding("kernelext.toml", False, str(exc))
    yield _history(context)
    yield _disk(data_dir(context.environ))
    ssh = shutil.which("ssh", path=context.environ.get("PATH"))
    advice = "not found: ~/.ssh/config is not read; install OpenSSH's client"
    yield Finding("ssh program", ssh is not None, ssh or advice)


def _packages() -> str:
    found = []
    for name in WANTED:
        try:
            found.append(f", {name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return "".join(found)


def _history(context: Context) -> Finding:
    path = history_path(context.environ)
    try:
        facts = inspect_history(path)
    except KernelExtError as exc:
        return Finding("history", False, str(exc))
    if facts is None:
        return Finding("history", True, f"none yet at {path}")
    mode = "" if facts.is_wal else "; without WAL, since its disk cannot: notebooks wait in turn"
    return Finding("history", True, f"{facts.runs} runs, {size_text(facts.size_bytes)}{mode}")


def _disk(folder: Path) -> Finding:
    there = next(each for each in (folder, *folder.parents) if each.exists())
    free_bytes = shutil.disk_usage(there).free
    text = f"{folder} has {size_text(free_bytes)} free"
    if not os.access(there, os.W_OK):
        return Finding("disk", False, f"{folder} cannot be written: name another, KERNELEXT_DATA")
    if free_bytes < FULL_BYTES:
        return Finding("disk", False, f"{text}: `kernelext gc local` makes room")
    return Finding("disk", True, text)

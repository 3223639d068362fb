"""``hosts``: which machines there are, and how they do."""

from __future__ import annotations

import argparse

from kernelext.errors import KernelExtError
from kernelext.hosts import find_context, known_hosts_names, list_contexts
from kernelext.hosts.config import HostConfig
from kernelext.verbs.context import Context
from kernelext.verbs.table import text_table

HELP = "list the hosts; with names, connect to them and say how they do"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the options."""
    parser.add_argument("names", nargs="*", metavar="HOST", help="connect to these")


def run(context: Context, options: argparse.Namespace) -> str:
    """Return the table."""
    if options.names:
        return _connected(context, options.names)
    used = {row.name: row for row in context.history.hosts()}
    rows = []
    for host in known_hosts_names(context.settings, context.environ):
        last = used[host.name].last_used_at[:16].replace("T", " ") if host.name in used else "never"
        rows.append([host.name, _address(context, host), host.source, last])
    _, problems = list_contexts(context.environ)
    return "\n".join([text_table(["HOST", "ADDRESS", "FROM", "LAST USED (UTC)"], rows), *problems])


def _address(context: Context, host: HostConfig) -> str:
    if host.context is None:
        return host.ssh or "this machine"
    found = find_context(host.context, context.environ)
    return found.endpoint if found else "-"


def _connected(context: Context, names: list[str]) -> str:
    rows = []
    notes = []
    for name in names:
        link = context.links.get(context.host(name))
        try:
            link.connect()
            facts = link.refresh()
        except KernelExtError as exc:
            rows.append([name, "-", "-", "-", "-", "-", str(exc)])
            continue
        memory = f"{facts.memory_bytes / 1024**3:.0f} GB"
        busy = f"{facts.running} running, {facts.queued} queued"
        gpus, slots = _counted(facts.gpus), str(facts.slots)
        rows.append([name, str(facts.cores), memory, gpus, slots, facts.engine, busy])
        if facts.gpu_problem:
            notes.append(f"{name}: {facts.gpu_problem}")
    head = ["HOST", "CORES", "MEMORY", "GPUS", "SLOTS", "ENGINE", "STATE"]
    return "\n".join([text_table(head, rows), *notes])


def _counted(gpus: tuple[str, ...]) -> str:
    return ", ".join(f"{gpus.count(name)} x {name}" for name in dict.fromkeys(gpus)) or "none"

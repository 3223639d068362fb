"""``trust``: shows a host's key and enrols it."""

from __future__ import annotations

import argparse
import sys

from kernelext.errors import HostKeyError, OptionError
from kernelext.hosts import resolve_ssh
from kernelext.hosts.sshconfig import SshTarget
from kernelext.link.known_hosts import enrol, find_keys, lookup_name
from kernelext.link.ssh import host_key
from kernelext.verbs.context import Context

HELP = "show the fingerprint of a host's key, and enrol it when you say so"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the options."""
    parser.add_argument("host", metavar="HOST")
    parser.add_argument(
        "--fingerprint",
        metavar="SHA256:...",
        help="enrol without asking if the key has this fingerprint",
    )


def run(context: Context, options: argparse.Namespace) -> str:
    """Show and, when confirmed, enrol; what was done.

    Raises
    ------
    HostKeyError
        The key is not the one that was expected, or nobody can be asked.
    """
    host = context.host(options.host)
    if host.ssh is None:
        way = "this machine" if host.is_local else f"reached by the Docker context {host.context}"
        raise OptionError(f"`{host.name}` is {way}: there is no key to trust")

    def resolve(target: str) -> SshTarget:
        return resolve_ssh(target, context.environ)

    target = resolve(host.ssh)
    key = host_key(host.name, target, resolve=resolve)
    name = lookup_name(target.hostname, target.port, target.host_key_alias)
    shown = f"{host.name} ({name}) shows the {key.type} key {key.fingerprint_sha256}"
    old = find_keys(target.known_hosts_files, [name])
    if any(entry.key_base64 == key.base64 for entry in old):
        return f"{shown}, which is enrolled already"
    if options.fingerprint is None:
        _ask(host.name, shown, replaces=bool(old))
    elif options.fingerprint != key.fingerprint_sha256:
        raise HostKeyError(f"{shown}, not {options.fingerprint}: nothing was enrolled")
    file = target.known_hosts_files[0]
    enrol(file, name, key.type, key.base64, replace=bool(old))
    return f"{shown}; it is enrolled in {file}"


def _ask(host: str, shown: str, *, replaces: bool) -> None:
    if not sys.stdin.isatty():
        raise HostKeyError(
            f"{shown}; compare it with what the machine's owner tells you, then:"
            f" kernelext trust {host} --fingerprint SHA256:..."
        )
    warning = "It REPLACES another key: someone may be in between.\n" if replaces else ""
    sys.stderr.write(f"{shown}\n{warning}Enrol it? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise HostKeyError("nothing was enrolled")

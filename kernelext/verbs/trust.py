"""``trust``: shows a host's key and enrols it."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator, Mapping

from kernelext.errors import HostKeyError, OptionError
from kernelext.hosts import resolve_chain, resolve_ssh
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

    said = ""
    for name, target in _way(host.name, host.ssh, context.environ):
        said, is_new = _enrol(name, target, options.fingerprint, context.environ)
        if is_new:
            more = "" if name == host.name else f"; for the next: kernelext trust {host.name}"
            return said + more
    return said


def _way(name: str, ssh: str, environ: Mapping[str, str]) -> Iterator[tuple[str, SshTarget]]:
    """Go through the hosts on the way, then the host itself, each through those before it."""
    chain = resolve_chain(ssh, environ)
    if chain[0].proxy_command:
        raise OptionError(
            f"{name} is reached by a ProxyCommand: log in by `ssh {ssh}` in a terminal, which "
            "shows the key and enrols it"
        )
    for number, target in enumerate(chain):
        jumps = tuple(hop.target for hop in chain[:number])
        called = name if number == len(chain) - 1 else target.target
        yield called, dataclasses.replace(target, proxy_jump=jumps, trusted_as=name)


def _enrol(
    called: str, target: SshTarget, wanted: str | None, environ: Mapping[str, str]
) -> tuple[str, bool]:
    """Enrol one host's key; what was done, and whether it was new."""
    key = host_key(called, target, resolve=lambda name: resolve_ssh(name, environ))
    name = lookup_name(target.hostname, target.port, target.host_key_alias)
    shown = f"{called} ({name}) shows the {key.type} key {key.fingerprint_sha256}"
    old = find_keys(target.known_hosts_files, [name])
    if any(entry.key_base64 == key.base64 and not entry.marker for entry in old):
        return f"{shown}, which is enrolled already", False
    if wanted is None:
        _ask(target.trusted_as or called, shown, replaces=bool(old))
    elif wanted != key.fingerprint_sha256:
        raise HostKeyError(f"{shown}, not {wanted}: nothing was enrolled")
    file = target.known_hosts_files[0]
    enrol(file, name, key.type, key.base64, replace=bool(old), is_hashing=target.is_hashing)
    return f"{shown}; it is enrolled in {file}", True


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

"""From the name that the user types to a host: `local`, the user's file, SSH aliases."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace

from kernelext.errors import UnknownHost
from kernelext.hosts.aliases import concrete_aliases, has_alias, host_patterns
from kernelext.hosts.targets import is_address, parse_target
from kernelext.models import HostConfig, Settings

_LOCAL = HostConfig(name="local", source="this machine")


def find_host(name: str, settings: Settings, environ: Mapping[str, str]) -> HostConfig:
    """Find a host by its name, SSH alias or address.

    Parameters
    ----------
    name : str
    settings : Settings
        With the tables of the user's file.
    environ : mapping of str to str
        Its ``HOME`` has the SSH configuration.

    Raises
    ------
    UnknownHost
        When it is none of these; the message has the nearest names and the next step.
    OptionError
        When it is an address that cannot be.
    """
    if name in settings.hosts:
        return _from_table(settings.hosts[name], host_patterns(environ))
    if name == "local":
        return _LOCAL
    patterns = host_patterns(environ)
    if has_alias(name, patterns):
        parse_target(name)
        return HostConfig(name=name, ssh=name, source="SSH alias")
    if is_address(name):
        parse_target(name)
        return HostConfig(name=name, ssh=name, source="address")
    raise UnknownHost(_unknown(name, ["local", *settings.hosts, *concrete_aliases(patterns)]))


def known_hosts_names(settings: Settings, environ: Mapping[str, str]) -> list[HostConfig]:
    """Return every host that has a name: `local`, the user's tables, SSH aliases."""
    patterns = host_patterns(environ)
    hosts = {"local": _LOCAL}
    for name, host in settings.hosts.items():
        hosts[name] = _from_table(host, patterns)
    for name in concrete_aliases(patterns):
        if has_alias(name, patterns):
            hosts.setdefault(name, HostConfig(name=name, ssh=name, source="SSH alias"))
    return list(hosts.values())


def _from_table(host: HostConfig, patterns: list[tuple[str, ...]]) -> HostConfig:
    if host.is_local or not has_alias(host.name, patterns):
        return host
    if host.ssh == host.name:
        return replace(host, source=f"{host.source} and SSH alias")
    return replace(
        host, source=f"{host.source}; not the SSH alias {host.name}, which has the same name"
    )


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, dict.fromkeys(known), n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}? Else " if near else ""
    return (
        f'No host is called "{name}": {hint}add `Host {name}` to ~/.ssh/config '
        f"or [hosts.{name}] to kernelext.toml."
    )

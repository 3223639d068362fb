"""From the name that the user types to a host: `local`, the file, contexts, SSH aliases."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Mapping
from dataclasses import replace

from kernelext.errors import OptionError, UnknownHost
from kernelext.hosts.aliases import concrete_aliases, has_alias, host_patterns
from kernelext.hosts.config import HostConfig, Settings
from kernelext.hosts.contexts import DockerContext, find_context, list_contexts
from kernelext.hosts.targets import is_address, parse_target

_LOCAL = HostConfig(name="local", source="this machine")


def find_host(name: str, settings: Settings, environ: Mapping[str, str]) -> HostConfig:
    """Find a host by its name, Docker context, SSH alias or address.

    Parameters
    ----------
    name : str
    settings : Settings
        With the tables of the user's file.
    environ : mapping of str to str
        Its ``HOME`` has the SSH configuration and, unless ``DOCKER_CONFIG`` says otherwise,
        Docker's contexts.

    Raises
    ------
    UnknownHost
        When it is none of these; the message has the nearest names and the next step.
    OptionError
        When it is an address that cannot be, or a context that cannot be read.
    """
    if name in settings.hosts:
        return _from_table(settings.hosts[name], host_patterns(environ), environ)
    if name == "local":
        return _LOCAL
    patterns = host_patterns(environ)
    context = find_context(name, environ)
    if context is not None:
        return _from_context(context, patterns)
    if has_alias(name, patterns):
        parse_target(name)
        return HostConfig(name=name, ssh=name, source="SSH alias")
    if is_address(name):
        parse_target(name)
        return HostConfig(name=name, ssh=name, source="address")
    contexts, _ = list_contexts(environ)
    known = ["local", *settings.hosts, *(context.name for context in contexts)]
    raise UnknownHost(_unknown(name, [*known, *concrete_aliases(patterns)]))


def known_hosts_names(settings: Settings, environ: Mapping[str, str]) -> list[HostConfig]:
    """Return every host that has a name: `local`, the user's tables, contexts, SSH aliases.

    A Docker context that cannot be read is left out; `list_contexts` says why.
    """
    patterns = host_patterns(environ)
    hosts = {"local": _LOCAL}
    for name, host in settings.hosts.items():
        hosts[name] = _from_table(host, patterns, environ)
    for context in list_contexts(environ)[0]:
        hosts.setdefault(context.name, _from_context(context, patterns))
    for name in concrete_aliases(patterns):
        if has_alias(name, patterns):
            hosts.setdefault(name, HostConfig(name=name, ssh=name, source="SSH alias"))
    return list(hosts.values())


def _from_table(
    host: HostConfig, patterns: list[tuple[str, ...]], environ: Mapping[str, str]
) -> HostConfig:
    if host.context is not None:
        named = find_context(host.context, environ)
        if named is None:
            raise UnknownHost(
                f"{host.source} reaches {host.name} by the Docker context {host.context}, which "
                "is not there: see `docker context ls`."
            )
        host = _by_context(host, named)
    if host.is_local:
        return host
    context = None
    with contextlib.suppress(OptionError):  # a damaged one is not meant here
        context = find_context(host.name, environ)
    return _with_meanings(host, patterns, context)


def _from_context(context: DockerContext, patterns: list[tuple[str, ...]]) -> HostConfig:
    host = _by_context(HostConfig(name=context.name, source="Docker context"), context)
    return _with_meanings(host, patterns, None)


def _by_context(host: HostConfig, context: DockerContext) -> HostConfig:
    """Say how its engine is reached: one behind SSH by the one connection of our own."""
    if not context.endpoint.startswith("ssh://"):
        return replace(host, context=context.name)
    parse_target(context.endpoint)
    return replace(host, ssh=context.endpoint.removeprefix("ssh://").rstrip("/"), context=None)


def _with_meanings(
    host: HostConfig, patterns: list[tuple[str, ...]], context: DockerContext | None
) -> HostConfig:
    same, others = [], []
    if context is not None:
        meant = _by_context(HostConfig(name=host.name), context)
        if (meant.ssh, meant.context) == (host.ssh, host.context):
            same.append("Docker context")
        else:
            others.append("Docker context")
    if has_alias(host.name, patterns):
        (same if host.ssh == host.name else others).append("SSH alias")
    source = " and ".join([host.source, *same])
    for other in others:
        source += f"; not the {other} {host.name}, which has the same name"
    return replace(host, source=source)


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, dict.fromkeys(known), n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(near)}? Else " if near else ""
    return (
        f'No host is called "{name}": {hint}add `Host {name}` to ~/.ssh/config '
        f"or [hosts.{name}] to kernelext.toml."
    )

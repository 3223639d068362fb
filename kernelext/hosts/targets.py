"""What may stand where SSH expects a machine: ``[user@]address[:port]`` or an alias."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from kernelext.errors import OptionError

# What OpenSSH 9.6 refuses in host and user names: they end up in the shell of a ProxyCommand.
_UNSAFE = re.compile(r"[\s'\"`$\\;&<>|(){}\x00-\x1f\x7f]")
_HIGHEST_PORT = 65535


class Target(NamedTuple):
    """The parts of a target; None where it says nothing."""

    host: str
    user: str | None
    port: int | None


def parse_target(text: str) -> Target:
    """Take a target apart.

    Raises
    ------
    OptionError
        When it is empty, could be taken for an option or by a shell, or has a port that
        cannot be.

    Examples
    --------
    >>> parse_target("ada@gpu1:2222")
    Target(host='gpu1', user='ada', port=2222)
    >>> parse_target("[2001:db8::1]:22").host, parse_target("2001:db8::1").port
    ('2001:db8::1', None)
    """
    rest = text.removeprefix("ssh://").removesuffix("/") if text.startswith("ssh://") else text
    user: str | None = None
    if "@" in rest:
        user, _, rest = rest.rpartition("@")
    host, port = _split_port(rest)
    parts = [host] if user is None else [user, host]
    if any(not part or part.startswith("-") or _UNSAFE.search(part) for part in parts):
        raise OptionError(
            f'"{text}" is no machine that SSH could reach: write an alias of ~/.ssh/config '
            "or [user@]address[:port]."
        )
    if port is None:
        return Target(host, user, None)
    if not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) <= _HIGHEST_PORT:
        raise OptionError(f'"{port}" in "{text}" is no port: write a number from 1 to 65535.')
    return Target(host, user, int(port))


def is_address(text: str) -> bool:
    """Whether `text` names a machine without any alias: has a user, a dot, a port, or is an IP.

    Examples
    --------
    >>> [is_address(text) for text in ("aws01", "ada@aws01", "10.0.0.7", "gpu1:22", "::1")]
    [False, True, True, True, True]
    """
    try:
        ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return any(mark in text for mark in "@.:")
    return True


def _split_port(text: str) -> tuple[str, str | None]:
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            return "", None
        return host, rest[1:] if rest else None
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        return host, port
    return text, None  # several colons without brackets: an IPv6 address

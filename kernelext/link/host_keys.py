"""Whether a host's key is the one that the user knows; asks nobody and accepts nothing new."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass

from kernelext.errors import HostKeyError
from kernelext.hosts.sshconfig import SshTarget
from kernelext.link.known_hosts import (
    CERT_AUTHORITY,
    REVOKED,
    SSH_PORT,
    KnownKey,
    find_keys,
    fingerprint,
    lookup_name,
)


@dataclass(frozen=True)
class HostKey:
    """A public key that a server has shown and proved to own."""

    type: str
    base64: str
    fingerprint_sha256: str

    @classmethod
    def from_bytes(cls, key_type: str, key: bytes) -> HostKey:
        """Make one of the bytes that go over the wire."""
        return cls(key_type, base64.b64encode(key).decode("ascii"), fingerprint(key))


def preferred_types(offered: Sequence[str], target: SshTarget) -> tuple[str, ...]:
    """Put the allowed key types that are known of a host first, else it may show another key."""
    types = {key.key_type for key in _known_keys(target) if not key.marker}
    if "ssh-rsa" in types:
        types |= {"rsa-sha2-512", "rsa-sha2-256"}
    allowed = target.algorithms.host_keys
    return tuple(
        sorted(
            (name for name in offered if not allowed or name in allowed),
            key=lambda name: name not in types,
        )
    )


def verify(host: str, target: SshTarget, shown: HostKey) -> None:
    """Check the key that a server has shown against the known_hosts files.

    Parameters
    ----------
    host : str
        The name the user typed, for messages.
    target : SshTarget
    shown : HostKey

    Raises
    ------
    HostKeyError
        When it is unknown, revoked, or another than the known one.
    """
    known = _known_keys(target)
    for key in known:
        if key.marker == REVOKED and key.key_base64 == shown.base64:
            raise HostKeyError(
                f"The key of {host}, {shown.fingerprint_sha256}, is revoked by line {key.line} of "
                f"{key.file}: do not log in there, ask whoever runs it."
            )
    plain = [key for key in known if not key.marker]
    if any(key.key_base64 == shown.base64 for key in plain):
        return
    if not plain and _is_known_at_other_port(target, shown):
        return
    for key in plain:
        if key.key_type == shown.type:
            raise HostKeyError(_has_changed(host, target, key, shown))
    authority = any(key.marker == CERT_AUTHORITY for key in known)
    hint = f" (kernelext reads no certificate authorities: {by_program(host)})" if authority else ""
    raise HostKeyError(
        f"The {shown.type} key of {host} ({target.hostname}) is unknown, "
        f"{shown.fingerprint_sha256}{hint}: compare it with the host's own, then run "
        f"`kernelext trust {target.trusted_as or host}`."
    )


def by_program(host: str) -> str:
    """Say how the user has `ssh` itself carry the connection."""
    table = host if re.fullmatch(r"[\w-]+", host) else "NAME"
    return f'where `ssh` itself gets in, set transport = "openssh" under [hosts.{table}]'


def _has_changed(host: str, target: SshTarget, key: KnownKey, shown: HostKey) -> str:
    return (
        f"The {shown.type} key of {host} ({target.hostname}) has changed from {key.fingerprint} "
        f"(line {key.line} of {key.file}) to {shown.fingerprint_sha256}, and someone may be in "
        "between: if the machine was set up anew, compare it with the host's own, then run "
        f"`kernelext trust {target.trusted_as or host}`."
    )


def _known_keys(target: SshTarget) -> tuple[KnownKey, ...]:
    name = lookup_name(target.hostname, target.port, target.host_key_alias)
    return find_keys(target.known_hosts_files, (name,))


def _is_known_at_other_port(target: SshTarget, shown: HostKey) -> bool:
    """As OpenSSH does: a key known for a host without a port is good at all its ports."""
    if target.port == SSH_PORT or target.host_key_alias:
        return False
    found = find_keys(target.known_hosts_files, (lookup_name(target.hostname),))
    markers = {key.marker for key in found if key.key_base64 == shown.base64}
    return markers == {""}

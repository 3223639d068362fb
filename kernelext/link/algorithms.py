"""Which ciphers, keys and lengths a connection may use: what ssh_config says of paramiko's."""

from __future__ import annotations

from collections.abc import Sequence

import paramiko

from kernelext.errors import ConnectError, HostKeyError
from kernelext.hosts.sshconfig import SshTarget
from kernelext.link.host_keys import by_program, preferred_types

CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)
WORDS = {"ciphers": "cipher", "digests": "MAC", "kex": "key exchange", "key_types": "host key"}


def allow(options: paramiko.SecurityOptions, host: str, target: SshTarget) -> None:
    """Offer what the configuration allows, of what paramiko can do.

    Raises
    ------
    ConnectError
        When that is nothing.
    """
    allowed = target.algorithms
    chosen = {
        "ciphers": _common(CIPHERS, allowed.ciphers),
        "digests": _common(options.digests, allowed.macs),
        "kex": _common(options.kex, allowed.key_exchanges),
        "key_types": preferred_types(options.key_types, target),
    }
    for name, names in chosen.items():
        if not names:
            raise ConnectError(
                f"The SSH configuration allows {host} no {WORDS[name]} that kernelext can do: "
                f"{by_program(host)}."
            )
        setattr(options, name, names)


def check_length(key: paramiko.PKey, host: str, target: SshTarget) -> None:
    """Refuse a server's RSA key that the configuration calls too short.

    Raises
    ------
    HostKeyError
    """
    if key.get_name() == "ssh-rsa" and key.get_bits() < target.algorithms.rsa_bits:
        raise HostKeyError(
            f"The RSA key of {host} has {key.get_bits()} bits, and RequiredRSASize of the SSH "
            f"configuration asks for {target.algorithms.rsa_bits}: ask whoever runs it for a "
            "longer one."
        )


def _common(ours: Sequence[str], allowed: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in ours if not allowed or name in allowed)

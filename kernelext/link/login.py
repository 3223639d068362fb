"""Which keys a login offers, in OpenSSH's order, and what to say when none is taken."""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kernelext.hosts.sshconfig import SshTarget
from kernelext.link.host_keys import by_program

AGENT_TIMEOUT_S = 30.0
_BEGIN = "-----BEGIN OPENSSH PRIVATE KEY-----"
_END = "-----END OPENSSH PRIVATE KEY-----"
_MAGIC = b"openssh-key-v1\0"
_LENGTH = struct.Struct(">I")


class UnusableKey(Exception):
    """A key file or an agent to pass over, and why."""


@dataclass
class Offers:
    """The keys to offer, one after the other, and an account of them.

    Attributes
    ----------
    target : SshTarget
    load_key : callable
        Reads a private key file: the key alone, or its certificate and then itself.
    list_agent : callable
        Lists the keys of the agent behind a connected socket.
    offered, passed_over : list of str
        For people; complete when the iteration is.
    """

    target: SshTarget
    load_key: Callable[[Path], Sequence[Any]]
    list_agent: Callable[[socket.socket], Sequence[Any]]
    offered: list[str] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    _agent: socket.socket | None = None

    def __iter__(self) -> Iterator[Any]:
        """Yield paramiko's keys: those of the files, then those of the agent."""
        named = set()
        offered = set()
        for file in self.target.identity_files:
            named.add(_public_part(file))
            for key in self._loaded(file):
                named.add(key.asbytes())
                offered.add(key.asbytes())
                yield self._noted(key, str(file))
        agent = [key for key in self._ask_agent() if key.asbytes() not in offered]
        for key in sorted(agent, key=lambda key: key.asbytes() not in named):
            if key.asbytes() in named or not self.target.identities_only:
                yield self._noted(key, "the agent")

    def close(self) -> None:
        """Hang up on the agent."""
        if self._agent:
            self._agent.close()

    def refusal(self, host: str, address: str, asked_for: Sequence[str], *, is_open: bool) -> str:
        """Say that the login was refused, what was offered and what to do.

        Parameters
        ----------
        host, address : str
            What the user calls it, and ``user@hostname``.
        asked_for : sequence of str
            Ways to log in that the host would have; empty when it took keys.
        is_open : bool
            Whether the host still waits for other keys.
        """
        text = f"{host} refuses the login as {address}; offered: "
        text += ", ".join(self.offered) or "no key"
        if self.passed_over:
            text += "; passed over: " + ", ".join(self.passed_over)
        if asked_for:
            return (
                f"{text}. It asks for {' and '.join(asked_for)}; kernelext logs in by key only: "
                f"{by_program(host)}."
            )
        if not is_open:
            return f"{text}. It hung up: name the right key by IdentityFile, with IdentitiesOnly."
        return (
            f"{text}. Add your public key to ~/.ssh/authorized_keys there (`ssh-copy-id`), or "
            "name the right one by IdentityFile in ~/.ssh/config; "
            f"{by_program(host)}."
        )

    def _noted(self, key: Any, origin: str) -> Any:
        blob = getattr(key, "public_blob", None)
        self.offered.append(f"{blob.key_type if blob else key.get_name()} from {origin}")
        return key

    def _loaded(self, file: Path) -> Sequence[Any]:
        if file.suffix == ".pub" or not file.is_file():
            return ()
        try:
            return self.load_key(file)
        except UnusableKey as exc:
            self.passed_over.append(f"{file} ({exc})")
            return ()

    def _ask_agent(self) -> Sequence[Any]:
        path = self.target.identity_agent or os.environ.get("SSH_AUTH_SOCK", "none")
        if path == "none":
            return ()
        if not hasattr(socket, "AF_UNIX"):
            self.passed_over.append(f"the agent at {path} (this system's is not reached)")
            return ()
        self._agent = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._agent.settimeout(AGENT_TIMEOUT_S)
        try:
            self._agent.connect(path)
            return self.list_agent(self._agent)
        except (OSError, UnusableKey) as exc:
            self.passed_over.append(f"the agent at {path} ({exc})")
            return ()


def _public_part(file: Path) -> bytes:
    """Read a key's public half from the file beside it, else from before the encrypted half."""
    public = file if file.suffix == ".pub" else file.with_name(file.name + ".pub")
    with contextlib.suppress(OSError, ValueError, IndexError):
        return base64.b64decode(public.read_text().split()[1])
    with contextlib.suppress(OSError, ValueError, struct.error):
        text = file.read_text().replace("\n", "")
        body = base64.b64decode(text.removeprefix(_BEGIN).removesuffix(_END))
        position = len(_MAGIC) if body.startswith(_MAGIC) else len(body)
        for _ in range(3):  # cipher, key derivation, its options
            position += _LENGTH.unpack_from(body, position)[0] + _LENGTH.size
        position += _LENGTH.size  # how many keys: one
        (size,) = _LENGTH.unpack_from(body, position)
        return body[position + _LENGTH.size :][:size]
    return b""

"""The host keys that the user knows: finding them and enrolling new ones; trusts nothing itself."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kernelext.errors import HostKeyError

SSH_PORT = 22
SALT_BYTES = 20
REVOKED = "@revoked"
CERT_AUTHORITY = "@cert-authority"


@dataclass(frozen=True)
class KnownKey:
    """One line of a known_hosts file.

    Attributes
    ----------
    file : Path
    line : int
        Counted from 1.
    marker : str
        Empty, ``@revoked`` or ``@cert-authority``.
    names : str
        Whose key it is, as written.
    key_type, key_base64 : str
    """

    file: Path
    line: int
    marker: str
    names: str
    key_type: str
    key_base64: str

    @property
    def fingerprint(self) -> str:
        """The key's SHA-256 as OpenSSH prints it."""
        return fingerprint(_decoded(self.key_base64))


def fingerprint(key: bytes) -> str:
    """Return the SHA-256 of a public key as OpenSSH prints it.

    Examples
    --------
    >>> fingerprint(b"")
    'SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU'
    """
    digest = base64.b64encode(hashlib.sha256(key).digest()).decode("ascii")
    return "SHA256:" + digest.rstrip("=")


def lookup_name(hostname: str, port: int = SSH_PORT, host_key_alias: str | None = None) -> str:
    """Return the name under which OpenSSH files a host's key.

    Examples
    --------
    >>> lookup_name("Aws01.example.com"), lookup_name("::1", 2222), lookup_name("x", 2222, "aws01")
    ('aws01.example.com', '[::1]:2222', 'aws01')
    """
    if host_key_alias:
        return host_key_alias.lower()
    return hostname.lower() if port == SSH_PORT else f"[{hostname.lower()}]:{port}"


def find_keys(files: Iterable[Path], names: Sequence[str]) -> tuple[KnownKey, ...]:
    """Find every line that speaks of one of `names`, marked lines included.

    Parameters
    ----------
    files : iterable of Path
        Absent and unreadable ones are passed over, as OpenSSH does.
    names : sequence of str
        As `lookup_name` gives them.

    Returns
    -------
    tuple of KnownKey
        In the order of the files.
    """
    return tuple(
        key
        for file in files
        for key in _keys(file, _lines(file))
        if any(_speaks_of(key.names, name) for name in names)
    )


def hashed_name(name: str) -> str:
    """Return a name as OpenSSH hides it in known_hosts; different each time."""
    salt = os.urandom(SALT_BYTES)
    parts = (salt, _name_digest(salt, name))
    return "|1|" + "|".join(base64.b64encode(part).decode("ascii") for part in parts)


def enrol(
    file: Path,
    name: str,
    key_type: str,
    key_base64: str,
    *,
    replace: bool = False,
    is_hashing: bool = False,
) -> None:
    """Add a host key to a known_hosts file; every other line stays as it is, byte for byte.

    Parameters
    ----------
    file : Path
        Made (0600, its folder 0700) where it is absent.
    name : str
        As `lookup_name` gives it.
    key_type, key_base64 : str
    replace : bool
        Whether another key of the same name and type gives way to the new one.
    is_hashing : bool
        Whether to hide the name.

    Raises
    ------
    HostKeyError
        When the file revokes this key, has another one and may not replace it, or cannot be
        written.
    """
    file = file.resolve()  # a link to a file kept elsewhere stays a link
    written = hashed_name(name) if is_hashing else name
    try:
        _enrol(file, name, f"{written} {key_type} {key_base64}", replace=replace)
    except OSError as exc:
        raise HostKeyError(
            f"{file} cannot be written ({exc.strerror}), so the key of {name} is not enrolled: "
            "mend that, name another file by UserKnownHostsFile in ~/.ssh/config, or have this "
            f"line added: {written} {key_type} {key_base64}"
        ) from exc


def _enrol(file: Path, name: str, entry: str, *, replace: bool) -> None:
    key_type, key_base64 = entry.split()[1:]
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = _lines(file)
    same_name = [key for key in _keys(file, lines) if _speaks_of(key.names, name)]
    if any(key.marker == REVOKED and key.key_base64 == key_base64 for key in same_name):
        raise HostKeyError(
            f"{file} revokes this key of {name}: ask whoever runs the host for its new one."
        )
    plain = [key for key in same_name if not key.marker and key.key_type == key_type]
    old = [key for key in plain if key.key_base64 != key_base64]
    if old and not replace:
        raise HostKeyError(
            f"Line {old[0].line} of {file} has another {key_type} key of {name}, "
            f"{old[0].fingerprint}: replace it only if you know why it has changed."
        )
    kept = list(_without(lines, old, name))
    new = b"" if len(plain) > len(old) else f"{entry}\n".encode()
    if new and kept and not kept[-1].endswith((b"\n", b"\r")):
        new = b"\n" + new
    if kept != lines:
        _rewrite(file, b"".join(kept) + new)
    elif new:
        _append(file, new)


def _decoded(key_base64: str) -> bytes:
    try:
        return base64.b64decode(key_base64)
    except binascii.Error:
        return b""


def _lines(file: Path) -> list[bytes]:
    try:
        return file.read_bytes().splitlines(keepends=True)
    except OSError:
        return []


def _keys(file: Path, lines: Sequence[bytes]) -> Iterator[KnownKey]:
    for number, line in enumerate(lines, start=1):
        fields = line.decode("utf-8", "surrogateescape").split()
        if not fields or fields[0].startswith("#"):
            continue
        marker = fields.pop(0) if fields[0].startswith("@") else ""
        if len(fields) >= 3 and marker in ("", REVOKED, CERT_AUTHORITY):
            yield KnownKey(file, number, marker, *fields[:3])


def _speaks_of(names: str, name: str) -> bool:
    if names.startswith("|1|"):
        return _is_hash_of(names, name)
    found = False
    for pattern in names.lower().split(","):
        wanted = pattern.removeprefix("!")
        expression = re.escape(wanted).replace(r"\*", ".*").replace(r"\?", ".")
        if re.fullmatch(expression, name):
            if pattern.startswith("!"):
                return False
            found = True
    return found


def _is_hash_of(hashed: str, name: str) -> bool:
    salt, _, digest = hashed.removeprefix("|1|").partition("|")
    return hmac.compare_digest(_name_digest(_decoded(salt), name), _decoded(digest))


def _name_digest(salt: bytes, name: str) -> bytes:
    # SHA-1 is the format's, not a choice.
    return hmac.new(salt, _encoded(name), hashlib.sha1).digest()


def _without(lines: Sequence[bytes], old: Sequence[KnownKey], name: str) -> Iterator[bytes]:
    """Leave out the old keys of `name`, of a line for several names the name alone."""
    gone = {key.line: key for key in old}
    for number, line in enumerate(lines, start=1):
        key = gone.get(number)
        if key is None:
            yield line
        elif not key.names.startswith("|1|"):
            names = key.names.split(",")
            others = [other for other in names if other.lower() != name]
            if len(others) == len(names):
                yield line  # a pattern's: it holds for other hosts too
            elif others:
                yield line.replace(_encoded(key.names), _encoded(",".join(others)), 1)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _append(file: Path, content: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "ab") as stream:
        stream.write(content)


def _rewrite(file: Path, content: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=file.name + ".")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(file.stat().st_mode & 0o777)
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise

"""What looks like a secret: files by their names, text by what it holds."""

from __future__ import annotations

import fnmatch
import functools
import re

# Patterns of `fnmatch`, of a file's name; the later ones take back.
SECRET_NAMES = (
    ".env",
    ".env.*",
    ".envrc",
    "*.pem",
    "*.p12",
    "*.pfx",
    "*.ppk",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    "kaggle.json",
    "application_default_credentials.json",
    "secrets.toml",
    "rclone.conf",
    ".boto",
    ".databrickscfg",
    ".git-credentials",
    ".my.cnf",
    ".netrc",
    "_netrc",
    ".pgpass",
    ".pypirc",
    ".s3cfg",
)
HARMLESS_NAMES = ("*.example", "*.sample", "*.template", "*.dist", "*.defaults", "*.pub")
SECRET_FOLDERS = frozenset({".aws", ".azure", ".gcloud", ".gnupg", ".kube", ".ssh"})
# Of these folders, which projects have for other things too, only the files that hold tokens.
_TOKEN_FILES = re.compile(
    r"(?:.*/)?(?:\.docker/config\.json|\.config/(?:gh|gcloud)/.*|\.huggingface/token"
    r"|\.cache/huggingface/(?:token|stored_tokens))",
    re.DOTALL,
)
SCANNED_BYTES = 1024 * 1024  # no key file is larger, and a large data file would take long

_SECRET = re.compile("|".join(map(fnmatch.translate, SECRET_NAMES)))
_HARMLESS = re.compile("|".join(map(fnmatch.translate, HARMLESS_NAMES)))

# The body must follow: code that only names the marker is no key. "\n" may be written out.
_PRIVATE_KEY = re.compile(
    rb"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
    rb"(?:\\r|\\n|\s|[\"'+]|[A-Z][A-Za-z-]+: [^\r\n]*)*[A-Za-z0-9+/]{40}"
)
_AWS_KEY = re.compile(rb"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b")
_AWS_SECRET = re.compile(rb"(?<![A-Za-z0-9/+=])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])")


@functools.lru_cache(maxsize=65_536)  # a large project is looked at with every cell
def is_secret_path(path: str) -> bool:
    """Whether a file's path, POSIX and relative, is one under which people keep secrets.

    Examples
    --------
    >>> [is_secret_path(path) for path in (".env", "a/key.pem", ".env.example", "environment.py")]
    [True, True, False, False]
    """
    *folders, name = path.split("/")
    if any(folder in SECRET_FOLDERS for folder in folders) or _TOKEN_FILES.fullmatch(path):
        return True
    return _SECRET.match(name) is not None and _HARMLESS.match(name) is None


def secret_in(data: bytes | memoryview) -> str | None:
    """Say what unmistakable secret a text holds: a private key, or both halves of an AWS key.

    Examples
    --------
    >>> secret_in(b'"-----BEGIN PRIVATE KEY-----" in text') is None
    True
    """
    content = bytes(data)
    if b"PRIVATE KEY" in content and _PRIVATE_KEY.search(content):
        return "a private key"
    if (b"AKIA" in content or b"ASIA" in content) and _has_aws_key(content):
        return "an AWS access key and its secret"
    return None


def _has_aws_key(content: bytes) -> bool:
    keys = [key for key in _AWS_KEY.findall(content) if not key.endswith(b"EXAMPLE")]
    return bool(keys) and any(map(_is_mixed, _AWS_SECRET.findall(content)))


def _is_mixed(text: bytes) -> bool:
    """Whether a text is random letters of both cases and digits, and no digest in hexadecimal."""
    has = (re.search(each, text) for each in (rb"[A-Z]", rb"[a-z]", rb"[0-9]"))
    return all(has) and b"EXAMPLE" not in text

"""Logins in addresses: filled in from the environment, found by host, and kept out of sight."""

from __future__ import annotations

import re
from collections.abc import Mapping

LOGIN = re.compile(r"//[^/?#\s]+@")  # to the last `@`: a password may have one
TOKEN = re.compile(r"/t/[^/\s]+/")  # as conda writes one into an address
QUERY = re.compile(r"(/[^\s?#`'\"]*)\?[^\s#`'\"<>]+(?<![).,;:])")  # may be a signature, or a token
VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")  # as pip has them in requirements


def hide_logins(text: str) -> str:
    """Return a text as it may be shown and kept: without the logins in its addresses.

    Examples
    --------
    >>> hide_logins("404 for https://ada:p%40ss@channel.example/t/abc-1/own")
    '404 for https://channel.example/t/.../own'
    >>> hide_logins("git+https://ada:p@ss@x.example/own@v1 (see https://x.example/own?key=1)")
    'git+https://x.example/own@v1 (see https://x.example/own?...)'
    """
    return QUERY.sub(r"\1?...", TOKEN.sub("/t/.../", LOGIN.sub("//", text)))


def fill_in(text: str, environ: Mapping[str, str]) -> str:
    """Return a text with its variables' values, as far as they are set.

    Examples
    --------
    >>> fill_in("https://${TOKEN}@x.example/${ABSENT}", {"TOKEN": "abc"})
    'https://abc@x.example/${ABSENT}'
    """
    return VARIABLE.sub(lambda found: environ.get(found[1], found[0]), text)

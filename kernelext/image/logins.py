"""Keeps logins out of what is said: addresses of channels and indexes may hold them."""

from __future__ import annotations

import re

LOGIN = re.compile(r"//[^/@\s]+@")
TOKEN = re.compile(r"/t/[^/\s]+/")  # as conda writes one into an address


def hide_logins(text: str) -> str:
    """Return a text without the logins in its addresses.

    Examples
    --------
    >>> hide_logins("404 for https://ada:p%40ss@channel.example/t/abc-1/own")
    '404 for https://channel.example/t/.../own'
    """
    return TOKEN.sub("/t/.../", LOGIN.sub("//", text))

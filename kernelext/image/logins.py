"""Logins in addresses: filled in from the environment, found by host, and kept out of sight."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping
from posixpath import commonpath
from urllib.parse import unquote, urlsplit

LOGIN = re.compile(r"//[^/?#\s]+@")  # to the last `@`: a password may have one
ADDRESS = re.compile(r"(?:(?P<name>[\w.-]+)=)?(?P<url>https?://[^\s'\"]+)")
ASKED = r"((?<!file)://[^\s?#`'\"]*?|url: [^\s?#`'\"]*?)"  # or its path alone, in an error's text
TOKEN = re.compile(rf"{ASKED}/t/[^/\s]+/")  # as conda writes one into an address
QUERY = re.compile(rf"{ASKED}\?[^\s#`'\"<>]+(?<![).,;:])")  # may be a signature, or a token
VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")  # as pip has them in requirements


def hide_logins(text: str) -> str:
    """Return a text as it may be shown and kept: without the logins in its addresses.

    Examples
    --------
    >>> hide_logins("404 for https://ada:p%40ss@channel.example/t/abc-1/own")
    '404 for https://channel.example/t/.../own'
    >>> hide_logins("git+https://ada:p@ss@x.example/own@v1 (see https://x.example/own?key=1)")
    'git+https://x.example/own@v1 (see https://x.example/own?...)'
    >>> hide_logins("no /t/own/setup.py for url: /t/abc-1/own?key=1 or file:///t/own/setup.py")
    'no /t/own/setup.py for url: /t/.../own?... or file:///t/own/setup.py'
    """
    return QUERY.sub(r"\1?...", TOKEN.sub(r"\1/t/.../", LOGIN.sub("//", text)))


def without_logins(text: str) -> str:
    """Return a text whose addresses have no login and are otherwise as they were."""
    return LOGIN.sub("//", text)


def fill_in(text: str, environ: Mapping[str, str]) -> str:
    """Return a text with its variables' values, as far as they are set.

    Examples
    --------
    >>> fill_in("https://${TOKEN}@x.example/${ABSENT}", {"TOKEN": "abc"})
    'https://abc@x.example/${ABSENT}'
    """
    return VARIABLE.sub(lambda found: environ.get(found[1], found[0]), text)


class Logins:
    """The logins that are known for addresses of indexes and files; a lock has none of them.

    Parameters
    ----------
    environ : mapping of str to str
        Where uv and pip are told of indexes, and of logins for indexes that have a name.
    lines : iterable of str
        Of requirements, with their options; or ``NAME=URL`` of an index.

    Examples
    --------
    >>> logins = Logins({"PIP_INDEX_URL": "https://ada:p%40ss@index.example/simple"})
    >>> logins.of("https://index.example/files/own-1.0-py3-none-any.whl")
    ('ada', 'p@ss')
    """

    def __init__(self, environ: Mapping[str, str], lines: Iterable[str] = ()) -> None:
        names = (name for name in environ if name.startswith(("PIP_", "UV_")))
        told = [environ[name] for name in names if "INDEX" in name or "FIND_LINKS" in name]
        self._known: list[tuple[str, tuple[str, str]]] = []
        for text in [*(fill_in(line, environ) for line in lines), *told]:
            for found in ADDRESS.finditer(text):
                with contextlib.suppress(ValueError):  # whoever uses the address says what is wrong
                    self._note(found["url"], found["name"] or "", environ)

    def of(self, url: str) -> tuple[str, str] | None:
        """Return a user and a password for an address, those of the nearest on its host."""
        host = urlsplit(url).netloc
        near = [known for known in self._known if urlsplit(known[0]).netloc == host]
        if not near:
            return None
        return max(near, key=lambda known: len(commonpath([url, known[0]])))[1]

    def _note(self, url: str, name: str, environ: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        variable = f"UV_INDEX_{re.sub(r'[^A-Z0-9]', '_', name.upper())}"
        user = environ.get(f"{variable}_USERNAME", "")
        password = environ.get(f"{variable}_PASSWORD", "")
        if parts.username is not None:
            user, password = unquote(parts.username), unquote(parts.password or "")
        if user or password:
            self._known.append((without_logins(url), (user, password)))

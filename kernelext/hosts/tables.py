"""Reads a `kernelext.toml` and checks its keys and types, with the user's next step."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from kernelext.errors import OptionError
from kernelext.hosts.config import ImageTable
from kernelext.hosts.sizes import parse_duration_s, parse_size_bytes
from kernelext.hosts.targets import parse_target

TRANSPORTS = ("paramiko", "openssh")

Reader = Callable[[Any], Any]


def read_toml(path: Path) -> dict[str, Any]:
    """Return a file's tables; an absent file has none.

    Raises
    ------
    OptionError
        When the file cannot be read or is no TOML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as exc:
        raise OptionError(f"{path} cannot be read: {exc}.") from exc
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise OptionError(f"{path.name} is not TOML: {exc}.") from exc


def read_keys(
    table: Mapping[str, Any], readers: Mapping[str, Reader], where: str
) -> dict[str, Any]:
    """Read every key of a table by its reader.

    Parameters
    ----------
    table : mapping
    readers : mapping of str to callable
        Each turns what the file says into what the program uses, or raises `OptionError`.
    where : str
        The file, and the table in it, for messages.

    Raises
    ------
    OptionError
        For an unknown key or a value that its reader refuses.
    """
    values: dict[str, Any] = {}
    for key, found in table.items():
        if key not in readers:
            raise OptionError(f"{where}: there is no key `{key}`{nearest(key, readers)}")
        try:
            values[key] = readers[key](found)
        except OptionError as exc:
            raise OptionError(f"{where}: `{key}`: {exc}") from exc
    return values


def nearest(word: str, known: Iterable[str]) -> str:
    """Return a hint at the known words that look like `word`, or a full stop.

    Examples
    --------
    >>> nearest("ownr", ["owner", "image"])
    '; did you mean `owner`?'
    """
    names = difflib.get_close_matches(word, list(known), n=3)
    return "; did you mean " + " or ".join(f"`{name}`" for name in names) + "?" if names else "."


def text_value(value: Any) -> str:
    """Read a text that says something."""
    if not isinstance(value, str) or not value.strip():
        raise OptionError(f"{value!r} is not a text: write it in quotes.")
    return value.strip()


def count_value(value: Any) -> int:
    """Read a whole number from 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise OptionError(f"{value!r} is not a whole number above zero.")
    return value


def size_value(value: Any) -> int:
    """Read a size such as ``"2GB"``; a bare number counts bytes."""
    return parse_size_bytes(_number_as_text(value))


def duration_value(value: Any) -> float:
    """Read a duration such as ``"10m"``; a bare number counts seconds."""
    return parse_duration_s(_number_as_text(value))


def env_value(value: Any) -> dict[str, str | bool]:
    """Read environment variables: a text, or true for the notebook's own value.

    The message never holds a value: it may be a secret.
    """
    if not isinstance(value, dict):
        raise OptionError('it is a table: write [env] and below it NAME = "value".')
    for name, found in value.items():
        if not is_variable(name):
            raise OptionError(f"{name!r} is no name of an environment variable.")
        if found is not True and (not isinstance(found, str) or "\0" in found):
            raise OptionError(
                f"{name} is neither a text in quotes nor true, which passes the notebook's own."
            )
    return value


def is_variable(name: str) -> bool:
    """Whether an environment variable can be called so.

    Examples
    --------
    >>> is_variable("HF_TOKEN"), is_variable("HF_TOKEN=x")
    (True, False)
    """
    return re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) is not None


def pickles_value(value: Any) -> str:
    """Read whether a host's pickles are loaded."""
    if value not in ("load", "keep"):
        raise OptionError(f'{value!r} is neither "load" nor "keep".')
    return str(value)


def image_value(value: Any) -> str | ImageTable:
    """Read a ready image's name, or the table of one that is built."""
    if not isinstance(value, dict):
        return text_value(value)
    found = read_keys(value, _IMAGE_KEYS, "[image]")
    return ImageTable(**{_IMAGE_FIELDS.get(key, key): each for key, each in found.items()})


def texts_value(value: Any) -> tuple[str, ...]:
    """Read a list of texts."""
    if not isinstance(value, list):
        raise OptionError(f'{value!r} is not a list: write ["..."].')
    return tuple(text_value(each) for each in value)


def path_value(value: Any) -> str:
    """Read an absolute path of a host."""
    path = text_value(value)
    if not path.startswith("/"):
        raise OptionError(f'"{path}" is not an absolute path on the host.')
    return path


def target_value(value: Any) -> str:
    """Read a target for SSH."""
    target = text_value(value)
    parse_target(target)
    return target


def transport_value(value: Any) -> str:
    """Read what carries SSH."""
    if value not in TRANSPORTS:
        raise OptionError(f'{value!r} is no transport: write "paramiko" or "openssh".')
    return str(value)


_IMAGE_KEYS: dict[str, Reader] = {
    "from": text_value,
    "base": text_value,
    "packages": texts_value,
    "apt": texts_value,
}
_IMAGE_FIELDS = {"from": "source"}


def _number_as_text(value: Any) -> str:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return str(value) if is_number else text_value(value)

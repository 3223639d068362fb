"""The user's and the project's `kernelext.toml`: one defines hosts, the other picks and lowers."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs

from kernelext.errors import OptionError
from kernelext.hosts.aliases import has_alias, host_patterns
from kernelext.hosts.config import HostConfig, ImageTable, Settings
from kernelext.hosts.contexts import find_context
from kernelext.hosts.person import login_name
from kernelext.hosts.tables import (
    Reader,
    count_value,
    duration_value,
    env_value,
    image_value,
    path_value,
    pickles_value,
    read_keys,
    read_toml,
    size_value,
    target_value,
    text_value,
    transport_value,
)
from kernelext.hosts.targets import is_address

FILE_NAME = "kernelext.toml"

_HOST_KEYS: dict[str, Reader] = {
    "ssh": target_value,
    "context": text_value,
    "transport": transport_value,
    "image": text_value,
    "daemon_image": text_value,
    "state_dir": path_value,
    "slots": count_value,
    "pickles": pickles_value,
}
_PROJECT_KEYS: dict[str, Reader] = {
    "default_host": text_value,
    "image": image_value,
    "upload_limit": size_value,
}
_USER_KEYS: dict[str, Reader] = {
    "owner": text_value,
    "default_host": text_value,
    "upload_limit": size_value,
    "lost_after": duration_value,
    "env": env_value,
    "hosts": lambda value: value,
}
_WAYS = ("ssh", "transport", "context")
_RENAMED = {"upload_limit": "upload_limit_bytes", "lost_after": "lost_after_s"}


def config_path(environ: Mapping[str, str]) -> Path:
    """Return the path of the user's file, which may not exist.

    Examples
    --------
    >>> config_path({"KERNELEXT_CONFIG": "/home/ada/k.toml"}).as_posix()
    '/home/ada/k.toml'
    """
    named = environ.get("KERNELEXT_CONFIG")
    if named:
        return Path(named).expanduser()
    return platformdirs.user_config_path("kernelext", appauthor=False) / FILE_NAME


def find_project(start: Path) -> Path | None:
    """Return the nearest folder from `start` upwards that has a `kernelext.toml`, or None."""
    folder = start.resolve()
    return next((f for f in (folder, *folder.parents) if (f / FILE_NAME).is_file()), None)


def load_settings(project_dir: Path | None, environ: Mapping[str, str]) -> Settings:
    """Read the user's file, and the project's over it.

    The lower of the two upload limits holds.

    Parameters
    ----------
    project_dir : Path or None
        The project's folder, if it is one.
    environ : mapping of str to str
        ``KERNELEXT_CONFIG`` in it names the user's file.

    Raises
    ------
    OptionError
        When a file cannot be read, or says what it may not; names the file and the key.
    """
    user_file = config_path(environ)
    where = _named(user_file)
    values = read_keys(read_toml(user_file), _USER_KEYS, where)
    values["hosts"] = _read_hosts(values.get("hosts", {}), where)
    settings = Settings(
        **{"owner": default_owner(environ), **{_RENAMED.get(k, k): v for k, v in values.items()}}
    )
    project_file = project_dir / FILE_NAME if project_dir else None
    if project_file is None or _same_file(project_file, user_file):
        return settings
    return _with_project(settings, read_toml(project_file), environ)


def default_owner(environ: Mapping[str, str]) -> str:
    """Return ``user@machine``, to whom runs belong when no file says otherwise."""
    return f"{login_name(environ)}@{platform.node() or 'machine'}"


def _read_hosts(tables: Any, where: str) -> dict[str, HostConfig]:
    if not isinstance(tables, dict):
        raise OptionError(f"{where}: `hosts` holds tables: write [hosts.NAME].")
    return {name: _read_host(name, table, where) for name, table in tables.items()}


def _read_host(name: str, table: Any, where: str) -> HostConfig:
    place = f"{where} [hosts.{name}]"
    if not re.fullmatch(r"[^\s,\-][^\s,]*", name):
        raise OptionError(f"{place}: a host's name has no spaces, no commas and no leading dash.")
    if not isinstance(table, dict):
        raise OptionError(f"{place} is not a table: write [hosts.{name}] on a line of its own.")
    values = read_keys(table, _HOST_KEYS, place)
    if name == "local":
        key = next((key for key in _WAYS if key in values), None)
        if key:
            raise OptionError(f"{place}: `local` is this machine and has no `{key}`: rename it.")
    elif "context" in values:
        key = next((key for key in _WAYS if key != "context" and key in values), None)
        if key:
            raise OptionError(
                f"{place}: a host is reached by SSH or by a Docker context: leave out `{key}` "
                "or `context`."
            )
    elif "ssh" not in values:
        values["ssh"] = read_keys({"ssh": name}, _HOST_KEYS, place)["ssh"]
    return HostConfig(name=name, source=where, **values)


def _with_project(
    settings: Settings, table: Mapping[str, Any], environ: Mapping[str, str]
) -> Settings:
    where = f"the project's {FILE_NAME}"
    users = {*_USER_KEYS, *_HOST_KEYS} - {*_PROJECT_KEYS}
    refused = next((key for key in table if key in users), None)
    if refused:
        raise OptionError(
            f"{where} comes with the project and may not set `{refused}`: "
            "move it to your own kernelext.toml."
        )
    values = read_keys(table, _PROJECT_KEYS, where)
    host = values.get("default_host", settings.default_host)
    # Else a clone could send the user's files to a machine of its author's.
    if "default_host" in values and not _is_the_users(host, settings, environ):
        raise OptionError(
            f"{where} names the default host {host}, which is none of yours: "
            "add [hosts.NAME] with it to your own kernelext.toml."
        )
    limit = min(
        settings.upload_limit_bytes, values.get("upload_limit", settings.upload_limit_bytes)
    )
    image = values.get("image", settings.image)
    return Settings(
        owner=settings.owner,
        default_host=host,
        hosts=settings.hosts,
        image=image if isinstance(image, str) else None,
        environment=image if isinstance(image, ImageTable) else None,
        upload_limit_bytes=limit,
        lost_after_s=settings.lost_after_s,
        env=settings.env,
    )


def _is_the_users(host: str, settings: Settings, environ: Mapping[str, str]) -> bool:
    # A plain name can only be one of the user's own; an address would be reached as it is.
    return (
        not is_address(host)
        or host in settings.hosts
        or find_context(host, environ) is not None
        or has_alias(host, host_patterns(environ))
    )


def _named(path: Path) -> str:
    return f"your {path.name}"


def _same_file(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)

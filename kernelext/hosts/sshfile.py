"""Reads the SSH configuration where there is no `ssh` that could; a part of its language."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from kernelext.errors import OptionError
from kernelext.hosts.aliases import config_lines, pattern_matches
from kernelext.hosts.person import home_dir

SYSTEM_FILE = Path("/etc/ssh/ssh_config")
_SEVERAL = {"identityfile", "certificatefile"}
_LISTS = {"ciphers", "macs", "kexalgorithms", "hostkeyalgorithms"}
_INSTALL = "install the OpenSSH client, which can"

Options = dict[str, list[str]]


def read_options(host: str, environ: Mapping[str, str]) -> Options:
    """Collect the options of a host, as `ssh -G` prints them; the first value of each counts.

    Parameters
    ----------
    host : str
        As the user named it.
    environ : mapping of str to str
        Its ``HOME`` has the configuration.

    Raises
    ------
    OptionError
        For what would be misread: ``Match``, and lists of algorithms that take from defaults.
    """
    options: Options = {}
    folder = home_dir(environ) / ".ssh"
    for keyword, words in _active(host, folder, environ):
        value = " ".join(words)
        if keyword in _LISTS and value[:1] in ("+", "^"):
            continue  # more than the defaults: ours are among them
        if keyword in _LISTS and value.startswith("-"):
            raise OptionError(
                f"{keyword} of the SSH configuration takes from defaults that kernelext does not "
                f"know: {_INSTALL}."
            )
        if keyword in _SEVERAL:
            options.setdefault(keyword, []).append(value)
        else:
            options.setdefault(keyword, [value])
    if "hostname" in options:
        named = options["hostname"][0].replace("%h", host).replace("%%", "%")
        options["hostname"] = [named]
    return options


def _active(
    host: str, folder: Path, environ: Mapping[str, str]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    for file in (folder / "config", SYSTEM_FILE):
        is_active = True
        for keyword, words in config_lines(file, file.parent, environ):
            if keyword == "host":
                is_active = _is_about(host, words)
            elif keyword == "match":
                if tuple(word.lower() for word in words) != ("all",):
                    raise OptionError(
                        f"{file} has a `Match` that kernelext cannot read: {_INSTALL}."
                    )
                is_active = True
            elif is_active:
                yield keyword, words


def _is_about(host: str, patterns: tuple[str, ...]) -> bool:
    refused = any(pattern_matches(host, p[1:]) for p in patterns if p.startswith("!"))
    return not refused and any(pattern_matches(host, p) for p in patterns)

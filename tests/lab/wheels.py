"""Install wheels in a tree the way the machine's own pip is set up to."""

from __future__ import annotations

import configparser
import os
import shlex
import shutil
from pathlib import Path

from .rootfs import chroot

CONFIG_FILES = ("/etc/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf")
DEFAULT_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
BORROWED = "tmp/certificates.crt"


def install_wheels(tree: Path, venv: str, wheels: list[str]) -> None:
    """Make a virtual environment in a tree and install wheels in it."""
    settings = {
        "PIP_NO_CACHE_DIR": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        **machine_settings(),
    }
    # A proxy of the machine may sign with an authority that the tree does not know.
    certificates = tree / BORROWED
    if source := machine_certificates():
        shutil.copyfile(source, certificates)
        settings["PIP_CERT"] = f"/{BORROWED}"
    pip = f"{venv}/bin/python -m pip"
    script = f"python3 -m venv {venv}; {pip} install -q --only-binary :all: {shlex.join(wheels)}"
    chroot(tree, f"{script}; {pip} uninstall -qy setuptools pip", settings)
    certificates.unlink(missing_ok=True)


def machine_settings() -> dict[str, str]:
    """Return the machine's pip settings that hold inside a tree: addresses, not paths."""
    found = {**configured(), **os.environ}
    return {
        name: value
        for name, value in found.items()
        if name.startswith("PIP_") and all(holds_inside(name, word) for word in value.split())
    }


def configured() -> dict[str, str]:
    """Return the global section of pip's configuration files as environment variables."""
    parser = configparser.RawConfigParser()
    files = [*CONFIG_FILES, os.environ.get("PIP_CONFIG_FILE", os.devnull)]
    parser.read([Path(name).expanduser() for name in files])
    if not parser.has_section("global"):
        return {}
    return {
        "PIP_" + name.upper().replace("-", "_"): value for name, value in parser.items("global")
    }


def holds_inside(name: str, word: str) -> bool:
    """Say whether a word of a setting means the same inside a tree.

    >>> holds_inside("PIP_INDEX_URL", "https://index.example/simple")
    True
    >>> holds_inside("PIP_FIND_LINKS", "/opt/wheels")
    False
    """
    is_number = name in ("PIP_DEFAULT_TIMEOUT", "PIP_TIMEOUT", "PIP_RETRIES")
    return word.startswith(("http://", "https://")) or name == "PIP_TRUSTED_HOST" or is_number


def machine_certificates() -> Path | None:
    """Return the bundle of authorities that the machine's pip trusts."""
    found = {**configured(), **os.environ}
    names = (found.get("PIP_CERT"), found.get("SSL_CERT_FILE"), DEFAULT_CERTIFICATES)
    return next((Path(name) for name in names if name and Path(name).is_file()), None)

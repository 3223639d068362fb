"""What of a project would travel and what stays at home, without reading its files' digests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kernelext.bundle.credentials import SCANNED_BYTES, secret_in
from kernelext.bundle.ignore import IgnoreRules
from kernelext.bundle.snapshot import list_files, refuse_secrets
from kernelext.errors import BundleError, SecretsFound


@dataclass(frozen=True)
class Survey:
    """A look at a project.

    Attributes
    ----------
    sizes : mapping of str to int
        Bytes of every file that would travel, by its path.
    stays : mapping of str to str
        Why each other file or folder stays at home; what lies in such a folder is not listed.
    refusal : SecretsFound or None
        Why nothing of it would travel.
    """

    sizes: dict[str, int]
    stays: dict[str, str]
    refusal: SecretsFound | None


def survey_project(root: Path, at_home: Iterable[Path | None] = ()) -> Survey:
    """Look at a project.

    Parameters
    ----------
    root : Path
    at_home : iterable of Path or None
        Files that stay, whatever the rules say.

    Raises
    ------
    BundleError
        When a folder or a file cannot be read.
    """
    rules, own = IgnoreRules(root), [path for path in at_home if path]
    stays = {
        each.relative_to(root).as_posix(): "never travels"
        for each in own
        if each.exists() and root in each.parents
    }
    sizes = {path: stat.st_size for path, stat in list_files(root, rules, own, stays)}
    held = {path: _held_by(root / path, path, size) for path, size in sizes.items()}
    found = {
        path: rules.links.get(path, f"holds {what}" if what else "")
        for path, what in held.items()
        if what or rules.is_secret(path)
    }
    try:
        refuse_secrets(found, rules)
    except SecretsFound as refusal:
        return Survey(sizes, stays, refusal)
    return Survey(sizes, stays, None)


def _held_by(file: Path, path: str, size_bytes: int) -> str | None:
    try:
        return secret_in(file.read_bytes()) if size_bytes <= SCANNED_BYTES else None
    except OSError as exc:
        raise BundleError(f"{path} cannot be read: {exc.strerror}") from exc

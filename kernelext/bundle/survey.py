"""What of a project would travel and what stays at home, without reading its files' digests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kernelext.bundle.credentials import SCANNED_BYTES, secret_in
from kernelext.bundle.disclosure import refuse_secrets
from kernelext.bundle.ignore import IgnoreRules
from kernelext.bundle.tree import Tree
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


def survey_project(root: Path, at_home: Iterable[Path] = ()) -> Survey:
    """Look at a project.

    Parameters
    ----------
    root : Path
    at_home : iterable of Path
        Files that stay, whatever the rules say.

    Raises
    ------
    BundleError
        When a folder or a file cannot be read.
    """
    root, rules = root.resolve(), IgnoreRules(root)
    tree = Tree(str(root))
    walked = tree.walk(rules, 0)
    own = {path.relative_to(root).as_posix() for path in at_home if root in path.parents}
    stays = {path: "never travels" for path in sorted(own) if (root / path).exists()}
    stays |= {path: rules.reason(path) for path in sorted(tree.stays)}
    stays |= dict(tree.left)
    sizes = dict(sorted(each for found in walked for each in found.without(own).sizes()))
    held = {path: _held_by(root / path, path, size) for path, size in sizes.items()}
    found = {path: f"holds {what}" for path, what in held.items() if what}
    found |= {path: where for path, where in tree.suspects.items() if path not in own}
    try:
        refuse_secrets(found, rules)
    except SecretsFound as refusal:
        return Survey(sizes, stays, refusal)
    return Survey(sizes, stays, None)


def _held_by(file: Path, path: str, size_bytes: int) -> str | None:
    try:
        return secret_in(file.read_bytes()) if size_bytes <= SCANNED_BYTES else None
    except (FileNotFoundError, NotADirectoryError):  # gone since the folder was read
        return None
    except OSError as exc:
        raise BundleError(f"{path} cannot be read: {exc.strerror}") from exc

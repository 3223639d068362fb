"""One folder of a project: what is in it, and what of that the rules let travel."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from kernelext.bundle.credentials import is_secret_path
from kernelext.bundle.ignore import GIT_NAME, MARKS, IgnoreRules, Rules, never_travels
from kernelext.bundle.linktargets import leads_to_secret
from kernelext.bundle.stamps import Stamp, is_racy, stamp_of
from kernelext.errors import BundleError


@dataclass(frozen=True)
class Place:
    """Where a folder lies, and the rules that it meets there.

    Attributes
    ----------
    root : str
        The project's folder, without links.
    folder : str
        Relative to the root, "" for the root.
    real : str
        The folder itself, without links.
    above : DockerRules or GitRules
        The rules of the folders above.
    """

    root: str
    folder: str
    real: str
    above: Rules

    @property
    def full(self) -> str:
        """The folder, by the way that leads there from the root."""
        return f"{self.root}/{self.folder}" if self.folder else self.root


@dataclass(frozen=True)
class Listing:
    """A folder's entries, and which of them the rules let travel.

    Attributes
    ----------
    place : Place
    stamp : Stamp or None
        The folder's own; None when it may have changed since without a new one.
    names : list of str
        As the system gives them.
    rules : DockerRules or GitRules
        With the folder's own.
    files, full : tuple of str
        Paths of regular files, and where they lie.
    others : tuple of str
        Paths of folders and links.
    stays : tuple of str
        Paths that the rules keep at home; a folder's ends with a slash.
    secret : dict of str to str
        Those of `files` whose names look like a secret's; where they lie, behind a link.
    """

    place: Place
    stamp: Stamp | None
    names: list[str]
    rules: Rules
    files: tuple[str, ...] = ()
    full: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    stays: tuple[str, ...] = ()
    secret: dict[str, str] = field(default_factory=dict)

    def is_of(self, place: Place, rules: Rules) -> bool:
        """Whether it was made there by those rules; equal rules are the same object."""
        is_same = self.rules is rules and self.place.above is place.above
        return is_same and self.place.real == place.real


def list_folder(place: Place, rules: IgnoreRules, now_ns: int, known: Listing | None) -> Listing:
    """List a folder.

    Parameters
    ----------
    place : Place
    rules : IgnoreRules
    now_ns : int
        The time, nanoseconds since 1970.
    known : Listing or None
        The last one; it is returned when nothing can have changed.

    Raises
    ------
    BundleError
        When it cannot be read; one that is gone is empty.
    """
    try:
        # before the names: what changes meanwhile gives a newer stamp
        stamp = stamp_of(os.stat(place.full))  # noqa: PTH116
        if known and stamp == known.stamp and os.listdir(place.full) == known.names:  # noqa: PTH208
            own = _own_rules(place, rules, known.names)
            if known.is_of(place, own):
                return known
        with os.scandir(place.full) as read:
            entries = [(each.name, each.is_file(follow_symlinks=False)) for each in read]
    except OSError as exc:
        if not (place.folder and isinstance(exc, FileNotFoundError)):
            where = place.folder or place.full
            raise BundleError(f"{where} cannot be read: {exc.strerror}") from exc
        return Listing(place, None, [], place.above)
    kept = None if is_racy(stamp, now_ns) else stamp
    own = _own_rules(place, rules, [name for name, _ in entries])
    return _sort_out(place, kept, entries, own)


def lies_in(folder: str, path: str) -> bool:
    """Whether a path is a folder or below it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _own_rules(place: Place, rules: IgnoreRules, names: list[str]) -> Rules:
    is_ruled = bool(place.folder) and GIT_NAME in names
    return rules.enter(place.above, place.folder) if is_ruled else place.above


def _sort_out(
    place: Place, stamp: Stamp | None, entries: list[tuple[str, bool]], own: Rules
) -> Listing:
    """Ask the rules about every entry of a folder."""
    names = [name for name, _ in entries]
    if place.folder and not MARKS.isdisjoint(names):
        return Listing(place, stamp, names, own, stays=(f"{place.folder}/",))
    files: list[str] = []
    others: list[str] = []
    stays: list[str] = []
    head = f"{place.folder}/" if place.folder else ""
    for name, is_file in entries:
        path = head + name
        if is_file:
            if never_travels(path, is_dir=False) or own.is_ignored(path):
                stays.append(path)
            else:
                files.append(path)
            continue
        is_dir = os.path.isdir(f"{place.root}/{path}")  # noqa: PTH112
        if _is_open(path, own, is_dir=is_dir):
            others.append(path)
        else:
            stays.append(path + "/" * is_dir)
    full = tuple(f"{place.root}/{path}" for path in files)
    secret = _secret(place, files)
    return Listing(
        place, stamp, names, own, tuple(files), full, tuple(others), tuple(stays), secret
    )


def _secret(place: Place, files: list[str]) -> dict[str, str]:
    """Name the files that are called as secrets are, and where they lie behind a link."""
    secret = {path: "" for path in files if is_secret_path(path)}
    if not lies_in(place.root, place.real):
        lie = {path: f"{place.real}/{path.rpartition('/')[2]}" for path in files}
        secret |= {path: f"links to {at}" for path, at in lie.items() if leads_to_secret(at)}
    return secret


def _is_open(path: str, rules: Rules, *, is_dir: bool) -> bool:
    """Whether a folder, or what is neither folder nor file, is to be looked at."""
    if never_travels(path, is_dir=is_dir):
        return False
    return not rules.is_ignored(path, is_dir=is_dir) or (is_dir and rules.may_hold_more(path))

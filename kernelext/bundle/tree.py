"""Walks the project's folders. What is unchanged since the last walk costs a `stat` and no more."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

from kernelext.bundle.credentials import is_secret_path
from kernelext.bundle.ignore import GIT_NAME, MARKS, IgnoreRules, Rules, never_travels
from kernelext.bundle.linktargets import (
    file_travels,
    folder_travels,
    leads_to_secret,
    never_travels_from,
)
from kernelext.errors import BundleError


@dataclass(frozen=True)
class Listing:
    """A folder's entries, and which of them the rules let travel.

    Attributes
    ----------
    entries : list of (str, bool)
        Names, and whether they are regular files, as the system gives them.
    rules : DockerRules or GitRules
    own_rules : DockerRules or GitRules
        With the folder's own.
    files, full : tuple of str
        Paths of regular files, and where they lie.
    others : tuple of str
        Paths of folders and links.
    stays : tuple of str
        Paths that the rules keep at home; a folder's ends with a slash.
    secret : dict of str to str
        Those of `files` whose names look like a secret's; where they lie, behind a link.
    real : str
        The folder itself, without links.
    """

    entries: list[tuple[str, bool]]
    rules: Rules
    own_rules: Rules
    files: tuple[str, ...]
    full: tuple[str, ...]
    others: tuple[str, ...]
    stays: tuple[str, ...]
    secret: dict[str, str]
    real: str

    def is_of(self, entries: list[tuple[str, bool]], above: Rules, own: Rules, real: str) -> bool:
        """Whether it was made of just these; equal rules are the same object."""
        is_same = self.rules is above and self.own_rules is own
        return is_same and self.entries == entries and self.real == real


@dataclass(frozen=True)
class InnerLink:
    """A link to what lies in the project.

    Attributes
    ----------
    path : str
    target : str
        Relative to the root.
    found : os.stat_result or None
        Of the target; None for a folder.
    """

    path: str
    target: str
    found: os.stat_result | None


@dataclass
class Tree:
    """A project's folders.

    Parameters
    ----------
    root : str
        Without links.

    Attributes
    ----------
    links : dict of str to str
        Links to folders of the project, by path; their targets, relative to where they lie.
    left : list of (str, str)
        What stays at home that the user may not expect, and why.
    stays : list of str
        Paths that the rules keep at home; a folder's ends with a slash.
    suspects : dict of str to str
        Files whose names look like a secret's, and links to such: where these lead.
    """

    root: str
    links: dict[str, str] = field(default_factory=dict)
    left: list[tuple[str, str]] = field(default_factory=list)
    stays: list[str] = field(default_factory=list)
    suspects: dict[str, str] = field(default_factory=dict)
    _listings: dict[str, Listing] = field(default_factory=dict)
    _inner: list[InnerLink] = field(default_factory=list)
    _entered: set[str] = field(default_factory=set)

    def walk(self, rules: IgnoreRules) -> list[tuple[str, os.stat_result]]:
        """List the files that travel, in no order, with what `stat` says of them."""
        self.links, self.left, self.stays, self.suspects = {}, [], [], {}
        self._inner, self._entered = [], set()
        found: list[tuple[str, os.stat_result]] = []
        self._enter("", self.root, rules, rules.top, (self.root,), found)
        if self._inner:
            self._take_inner(found)
        return found

    def _take_inner(self, found: list[tuple[str, os.stat_result]]) -> None:
        """Take the links to what travels itself; what stays at home is not sent by a link."""
        files = {path for path, _ in found}
        for link in self._inner:
            if link.found is None:
                travels = folder_travels(link.target, self._entered)
            else:
                travels = file_travels(link.target, files)
            if not travels:
                self.left.append((link.path, f"it links to {link.target}, which stays at home"))
            elif link.found is None:
                here = os.path.dirname(f"{self.root}/{link.path}")  # noqa: PTH120
                real = f"{self.root}/{link.target}"
                self.links[link.path] = os.path.relpath(real, here).replace(os.sep, "/")
            else:
                found.append((link.path, link.found))
                self._suspect(link.path, link.target)

    def _enter(
        self,
        folder: str,
        real: str,
        rules: IgnoreRules,
        above: Rules,
        chain: tuple[str, ...],
        found: list[tuple[str, os.stat_result]],
    ) -> None:
        """Walk a folder; `chain` has the folders, without links, that lead to it."""
        listing = self._listing(folder, real, rules, above)
        self._entered.add(folder)
        self.stays += listing.stays
        self.suspects.update(listing.secret)
        before = len(found)
        try:
            found += zip(listing.files, map(os.lstat, listing.full), strict=True)
        except OSError:  # gone since the folder was read
            found[before:] = _present(listing)
        for path in listing.others:
            full = f"{self.root}/{path}"
            if os.path.islink(full):  # noqa: PTH114
                self._follow(path, full, rules, listing.own_rules, chain, found)
            elif os.path.isdir(full):  # noqa: PTH112
                below = f"{real}/{path.rpartition('/')[2]}"
                self._enter(path, below, rules, listing.own_rules, chain, found)

    def _listing(self, folder: str, real: str, rules: IgnoreRules, above: Rules) -> Listing:
        full = f"{self.root}/{folder}" if folder else self.root
        try:
            with os.scandir(full) as read:
                entries = [(each.name, each.is_file(follow_symlinks=False)) for each in read]
        except OSError as exc:
            if not (folder and isinstance(exc, FileNotFoundError)):  # gone since it was listed
                raise BundleError(f"{folder or full} cannot be read: {exc.strerror}") from exc
            entries = []
        names = {name for name, _ in entries}
        own = rules.enter(above, folder) if folder and GIT_NAME in names else above
        known = self._listings.get(folder)
        if known and known.is_of(entries, above, own, real):
            return known
        self._listings[folder] = self._sort_out(folder, real, entries, above, own)
        return self._listings[folder]

    def _sort_out(
        self, folder: str, real: str, entries: list[tuple[str, bool]], above: Rules, own: Rules
    ) -> Listing:
        """Ask the rules about every entry of a folder."""
        if folder and not MARKS.isdisjoint(name for name, _ in entries):
            return Listing(entries, above, own, (), (), (), (f"{folder}/",), {}, real)
        files: list[str] = []
        others: list[str] = []
        stays: list[str] = []
        head = f"{folder}/" if folder else ""
        for name, is_file in entries:
            path = head + name
            if is_file:
                if never_travels(path, is_dir=False) or own.is_ignored(path):
                    stays.append(path)
                else:
                    files.append(path)
                continue
            is_dir = os.path.isdir(f"{self.root}/{path}")  # noqa: PTH112
            if self._is_open(path, own, is_dir=is_dir):
                others.append(path)
            else:
                stays.append(path + "/" * is_dir)
        secret = {path: "" for path in files if is_secret_path(path)}
        if not _holds(self.root, real):
            lie = {path: f"{real}/{path.rpartition('/')[2]}" for path in files}
            secret |= {path: f"links to {at}" for path, at in lie.items() if leads_to_secret(at)}
        return Listing(
            entries,
            above,
            own,
            tuple(files),
            tuple(f"{self.root}/{path}" for path in files),
            tuple(others),
            tuple(stays),
            secret,
            real,
        )

    def _is_open(self, path: str, rules: Rules, *, is_dir: bool) -> bool:
        """Whether a folder, or what is neither folder nor file, is to be looked at."""
        if never_travels(path, is_dir=is_dir):
            return False
        return not rules.is_ignored(path, is_dir=is_dir) or (is_dir and rules.may_hold_more(path))

    def _follow(
        self,
        path: str,
        full: str,
        rules: IgnoreRules,
        own: Rules,
        chain: tuple[str, ...],
        found: list[tuple[str, os.stat_result]],
    ) -> None:
        """Take a link: to a file as that file, to a folder of the project as a link."""
        try:
            target = os.stat(full)  # noqa: PTH116
        except OSError:  # it leads nowhere
            return
        real = os.path.realpath(full)
        is_dir = stat.S_ISDIR(target.st_mode)
        if not is_dir and not stat.S_ISREG(target.st_mode):
            return
        if _holds(self.root, real):
            inside = os.path.relpath(real, self.root).replace(os.sep, "/")
            self._inner.append(InnerLink(path, inside, None if is_dir else target))
        elif never_travels_from(self.root, real, is_dir=is_dir):
            self.left.append((path, f"it links to {real}, which never travels"))
        elif not is_dir:
            found.append((path, target))
            self._suspect(path, real)
        elif any(_holds(real, each) for each in chain):
            self.left.append((path, f"it leads in a circle, to {real}"))
        else:
            self._enter(path, real, rules, own, (*chain, real), found)

    def _suspect(self, path: str, target: str) -> None:
        """Note a link that is called as a secret, or leads to what is: a clone may hold such."""
        if leads_to_secret(target):
            self.suspects[path] = f"links to {target}"
        elif is_secret_path(path):
            self.suspects[path] = ""


def _present(listing: Listing) -> Iterator[tuple[str, os.stat_result]]:
    for path, full in zip(listing.files, listing.full, strict=True):
        with contextlib.suppress(OSError):
            yield path, os.lstat(full)


def _holds(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)

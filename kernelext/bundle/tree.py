"""Walks the project's folders. What is unchanged since the last walk costs a `stat` and no more."""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass, field

from kernelext.bundle.credentials import is_secret_path
from kernelext.bundle.ignore import IgnoreRules, Rules
from kernelext.bundle.linktargets import (
    file_travels,
    folder_travels,
    leads_to_secret,
    never_travels_from,
)
from kernelext.bundle.listing import Listing, Place, lies_in, list_folder
from kernelext.bundle.stamps import FolderFiles, Stamp, is_regular, stamp_of, stamps_of

LINKED = "/"  # no folder's path: files that are links, from anywhere


@dataclass(frozen=True)
class InnerLink:
    """A link to what lies in the project.

    Attributes
    ----------
    path : str
    target : str
        Relative to the root.
    stamp : Stamp or None
        The target's; None for a folder.
    """

    path: str
    target: str
    stamp: Stamp | None


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
    _last: dict[str, FolderFiles] = field(default_factory=dict)
    _now_ns: int = 0
    _found: list[FolderFiles] = field(default_factory=list)
    _linked: dict[str, Stamp] = field(default_factory=dict)
    _inner: list[InnerLink] = field(default_factory=list)
    _entered: set[str] = field(default_factory=set)

    def walk(self, rules: IgnoreRules, now_ns: int) -> list[FolderFiles]:
        """List the files that travel, in no order, with what `stat` says of them.

        Parameters
        ----------
        rules : IgnoreRules
        now_ns : int
            The time, nanoseconds since 1970.

        Raises
        ------
        BundleError
            When a folder cannot be read.
        """
        self.links, self.left, self.stays, self.suspects = {}, [], [], {}
        self._now_ns, self._found, self._linked = now_ns, [], {}
        self._inner, self._entered = [], set()
        self._enter(Place(self.root, "", self.root, rules.top), rules, (self.root,))
        if self._inner:
            self._take_inner()
        if self._linked:
            paths, stamps = tuple(self._linked), list(self._linked.values())
            self._found.append(FolderFiles(LINKED, paths, stamps))
        return self._found

    def _take_inner(self) -> None:
        """Take the links to what travels itself; what stays at home is not sent by a link."""
        files = {path for folder in self._found for path in folder.paths} | self._linked.keys()
        for link in self._inner:
            if link.stamp is None:
                travels = folder_travels(link.target, self._entered)
            else:
                travels = file_travels(link.target, files)
            if not travels:
                self.left.append((link.path, f"it links to {link.target}, which stays at home"))
            elif link.stamp is None:
                here = os.path.dirname(f"{self.root}/{link.path}")  # noqa: PTH120
                real = f"{self.root}/{link.target}"
                self.links[link.path] = os.path.relpath(real, here).replace(os.sep, "/")
            else:
                self._linked[link.path] = link.stamp
                self._suspect(link.path, link.target)

    def _enter(self, place: Place, rules: IgnoreRules, chain: tuple[str, ...]) -> None:
        """Walk a folder; `chain` has the folders, without links, that lead to it."""
        listing = list_folder(place, rules, self._now_ns, self._listings.get(place.folder))
        self._listings[place.folder] = listing
        self._entered.add(place.folder)
        self.stays += listing.stays
        self.suspects.update(listing.secret)
        if listing.files:
            self._found.append(self._files(listing))
        for path in listing.others:
            full = f"{self.root}/{path}"
            if os.path.islink(full):  # noqa: PTH114
                self._follow(path, full, rules, listing.rules, chain)
            elif os.path.isdir(full):  # noqa: PTH112
                below = f"{place.real}/{path.rpartition('/')[2]}"
                self._enter(Place(self.root, path, below, listing.rules), rules, chain)

    def _files(self, listing: Listing) -> FolderFiles:
        """Ask for the stamps of a folder's files; the same object as the last time if they hold."""
        folder = listing.place.folder
        last = self._last.get(folder)
        try:
            stamps = stamps_of(listing.full)
        except OSError:  # gone since the folder was read
            return _present(listing)
        if last and last.paths is listing.files and last.stamps == stamps:
            return last
        if not all(map(is_regular, stamps)):
            return _present(listing)
        self._last[folder] = FolderFiles(folder, listing.files, stamps)
        return self._last[folder]

    def _follow(
        self,
        path: str,
        full: str,
        rules: IgnoreRules,
        own: Rules,
        chain: tuple[str, ...],
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
        if lies_in(self.root, real):
            inside = os.path.relpath(real, self.root).replace(os.sep, "/")
            self._inner.append(InnerLink(path, inside, None if is_dir else stamp_of(target)))
        elif never_travels_from(self.root, real, is_dir=is_dir):
            self.left.append((path, f"it links to {real}, which never travels"))
        elif not is_dir:
            self._linked[path] = stamp_of(target)
            self._suspect(path, real)
        elif any(lies_in(real, each) for each in chain):
            self.left.append((path, f"it leads in a circle, to {real}"))
        else:
            self._enter(Place(self.root, path, real, own), rules, (*chain, real))

    def _suspect(self, path: str, target: str) -> None:
        """Note a link that is called as a secret, or leads to what is: a clone may hold such."""
        if leads_to_secret(target):
            self.suspects[path] = f"links to {target}"
        elif is_secret_path(path):
            self.suspects[path] = ""


def _present(listing: Listing) -> FolderFiles:
    """Take those of a folder's files that are there, and still files."""
    present: dict[str, Stamp] = {}
    for path, full in zip(listing.files, listing.full, strict=True):
        with contextlib.suppress(OSError):
            (stamp,) = stamps_of([full])
            if is_regular(stamp):
                present[path] = stamp
    return FolderFiles(listing.place.folder, tuple(present), list(present.values()))

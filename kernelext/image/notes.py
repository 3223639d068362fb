"""What is known here of a project's image: the versions chosen, and which hosts have it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

BUILT_NAME = "built.txt"


class Notes:
    """The notes of one environment, in a file.

    Parameters
    ----------
    path : Path
    wanted : str
        A digest of what is wanted: notes of anything else are as good as none.
    owner : str
        The project, for people.
    """

    def __init__(self, path: Path, wanted: str, owner: str) -> None:
        self._path = path
        self._wanted = wanted
        self._owner = owner

    def read(self) -> dict[str, Any]:
        """Return what is known of this very environment, and what was chosen for the one before."""
        found: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError, TypeError):
            found = dict(json.loads(self._path.read_text()))
        if found.get("wanted") == self._wanted:
            return found
        earlier = found.get("earlier", {}) | found.get("locks", {})
        conda = found.get("earlier_conda", {}) | found.get("conda", {})
        kept: dict[str, Any] = {name: found[name] for name in ("debs", "turn") if name in found}
        kept |= {"earlier": earlier, "earlier_conda": conda}
        return {"wanted": self._wanted, "project": self._owner, **kept}

    def write(self, notes: Mapping[str, Any]) -> None:
        """Keep them."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_suffix(f".{os.getpid()}.new")
        partial.touch(mode=0o600)  # addresses that are signed are in it
        partial.write_text(json.dumps(notes))
        partial.replace(self._path)

    def forget_others(self, tag: str) -> None:
        """Forget which hosts have the image under any other name."""
        notes = self.read()
        hosts = notes.get("hosts", {})
        notes["hosts"] = {name: noted for name, noted in hosts.items() if noted["tag"] == tag}
        self.write(notes)

    def tags(self, host: str, base: str) -> list[str]:
        """Return what the image may be called on a host, the likeliest first.

        First is what was there last, then what hosts with the same base have.
        """
        hosts = self.read().get("hosts", {})
        ordered = sorted(hosts, key=lambda name: name != host)
        found = (str(hosts[name]["tag"]) for name in ordered if hosts[name].get("base") == base)
        return list(dict.fromkeys(found))

    def has(self, host: str, base: str) -> bool:
        """Whether a host had the image when it was last asked."""
        return bool(self.read().get("hosts", {}).get(host, {}).get("base") == base)

    def note_host(self, host: str, base: str, tag: str, below: Sequence[str] = ()) -> None:
        """Note that a host has the image, and what was built below it for it."""
        notes = self.read()
        hosts = notes.setdefault("hosts", {})
        noted = {"base": base, "tag": tag}
        if below or not noted.items() <= hosts.get(host, {}).items():
            hosts[host] = {**noted, "below": list(below)}
            self.write(notes)

    def note_built(self, tag: str) -> None:
        """Note what this machine has built: only that it may call unused."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with (self._path.parent / BUILT_NAME).open("a", encoding="utf-8") as file:
            file.write(f"{tag}\n")


def tags_built(home: Path) -> set[str]:
    """Return what images are called that this machine has ever built; see `tags_in_use`."""
    try:
        return set((home / "images" / BUILT_NAME).read_text(encoding="utf-8").split())
    except OSError:
        return set()


def tags_in_use(home: Path) -> dict[str, set[str]]:
    """Return the projects that use an image, as theirs or as its base, by what it is called.

    Parameters
    ----------
    home : Path
        The user's data folder.
    """
    found: dict[str, set[str]] = {}
    for file in (home / "images").glob("*.json"):
        with contextlib.suppress(OSError, ValueError, AttributeError, KeyError, TypeError):
            notes = json.loads(file.read_text())
            for noted in notes.get("hosts", {}).values():
                for tag in (noted["tag"], noted["base"], *noted.get("below", ())):
                    found.setdefault(tag, set()).add(str(notes["project"]))
    return found

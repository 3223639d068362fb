"""Tiny packages of conda, in a channel that is a folder."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

PLACEHOLDER = "/home/builder/" + "placehold_" * 24
SUBDIR = "linux-64"
Content = str | bytes | Path


@dataclass(frozen=True)
class Conda:
    """What a package is made of.

    Attributes
    ----------
    name, version, build : str
    needs : tuple of str
    files : mapping of str to str, bytes or Path
        Content by path; a path is one of this machine. What begins with ``#!`` is a program.
    links : mapping of str to str
        What symbolic links point to.
    noarch : str
        ``python`` or ``generic``.
    commands : tuple of str
        Entry points of a ``noarch: python`` one.
    form : str
        ``.conda`` or ``.tar.bz2``.
    """

    name: str
    version: str = "1.0"
    build: str = "0"
    needs: tuple[str, ...] = ()
    files: Mapping[str, Content] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    noarch: str = ""
    commands: tuple[str, ...] = ()
    form: str = ".conda"

    @property
    def subdir(self) -> str:
        """The folder of a channel that it is in."""
        return "noarch" if self.noarch else SUBDIR

    @property
    def stem(self) -> str:
        """Its file's name without the form."""
        return f"{self.name}-{self.version}-{self.build}"

    @property
    def index(self) -> dict[str, Any]:
        """What its channel says of it."""
        found = {"name": self.name, "version": self.version, "build": self.build}
        kind = {"noarch": self.noarch} if self.noarch else {}
        return {**found, **kind, "build_number": 0, "subdir": self.subdir, "depends": [*self.needs]}

    def write(self, folder: Path) -> Path:
        """Write the package into a folder."""
        contents = {path: _bytes(content) for path, content in self.files.items()}
        info: dict[str, Any] = {"index.json": self.index, "paths.json": self._paths(contents)}
        if self.commands:
            noarch = {"type": "python", "entry_points": [*self.commands]}
            info["link.json"] = {"noarch": noarch, "package_metadata_version": 1}
        described = {f"info/{name}": json.dumps(text).encode() for name, text in info.items()}
        target = folder / f"{self.stem}{self.form}"
        if self.form == ".conda":
            with zipfile.ZipFile(target, "w") as archive:
                archive.writestr("metadata.json", '{"conda_pkg_format_version": 2}')
                for part, data in (
                    ("pkg", _tar(contents, self.links, "w")),
                    ("info", _tar(described, {}, "w")),
                ):
                    packed = pa.compress(data, codec="zstd", asbytes=True)
                    archive.writestr(f"{part}-{self.stem}.tar.zst", packed)
        else:
            target.write_bytes(_tar({**described, **contents}, self.links, "w:bz2"))
        return target

    def _paths(self, contents: Mapping[str, bytes]) -> dict[str, Any]:
        entries: list[dict[str, Any]] = [
            {"_path": path, "path_type": "softlink"} for path in self.links
        ]
        for path, data in contents.items():
            entry: dict[str, Any] = {"_path": path, "path_type": "hardlink"}
            if PLACEHOLDER.encode() in data:
                entry["prefix_placeholder"] = PLACEHOLDER
                entry["file_mode"] = "binary" if b"\0" in data else "text"
            digest = hashlib.sha256(data).hexdigest()
            entries.append({**entry, "sha256": digest, "size_in_bytes": len(data)})
        return {"paths_version": 1, "paths": entries}


def make_channel(folder: Path, *packages: Conda) -> str:
    """Add packages to the channel in a folder; its address."""
    for subdir in ("noarch", SUBDIR):
        (folder / subdir).mkdir(parents=True, exist_ok=True)
        listing = folder / subdir / "repodata.json"
        empty: dict[str, Any] = {"info": {"subdir": subdir}, "packages": {}, "packages.conda": {}}
        listed = json.loads(listing.read_text()) if listing.exists() else empty
        for package in packages:
            if package.subdir == subdir:
                data = (file := package.write(folder / subdir)).read_bytes()
                kind = "packages.conda" if package.form == ".conda" else "packages"
                digest = hashlib.sha256(data).hexdigest()
                listed[kind][file.name] = {**package.index, "sha256": digest, "size": len(data)}
        listing.write_text(json.dumps(listed))
    return folder.as_uri()


def _bytes(content: Content) -> bytes:
    if isinstance(content, Path):
        return content.read_bytes()
    return content.encode() if isinstance(content, str) else content


def _tar(files: Mapping[str, bytes], links: Mapping[str, str], mode: Any) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tar:
        for path, data in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(data)
            is_program = data[:2] == b"#!" or data[:4] == b"\x7fELF"
            member.mode = 0o755 if is_program else 0o644
            tar.addfile(member, io.BytesIO(data))
        for path, points_to in links.items():
            member = tarfile.TarInfo(path)
            member.type, member.linkname = tarfile.SYMTYPE, points_to
            tar.addfile(member)
    return out.getvalue()

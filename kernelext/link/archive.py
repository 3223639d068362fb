"""The zip of our own modules that hosts run, named by its digest."""

from __future__ import annotations

import functools
import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cloudpickle
import installer

import kernelext

FILES = (
    "__init__.py",
    "errors.py",
    "models.py",
    "recipe.py",
    "events.py",
    "wire.py",
    "holding.py",
)
ROOMS = ("values", "runner", "builder", "daemon")
PASSENGERS = (cloudpickle, installer)  # for images that do not have them
DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip can hold: the digest is of the code alone

MAIN = """\
import sys

command = sys.argv.pop(1)
if command == "daemon":
    from kernelext.daemon.main import main
elif command == "runner":
    from kernelext.runner.main import main
elif command == "builder":
    from kernelext.builder.main import main
elif command == "connect":
    from kernelext.daemon.relay import main
sys.exit(main(sys.argv[1:]))
"""


@dataclass(frozen=True)
class Archive:
    """The zip's bytes and their SHA-256 in hexadecimal."""

    data: bytes
    digest: str


@functools.cache
def code_archive() -> Archive:
    """Pack this version's modules, and what travels with them: the same bytes every time."""
    members = {"__main__.py": MAIN.encode()}
    package = Path(kernelext.__file__).parent
    for path in [package / name for name in FILES]:
        members[f"kernelext/{path.name}"] = path.read_bytes()
    for room in ROOMS:
        for path in (package / room).glob("*.py"):
            members[f"kernelext/{room}/{path.name}"] = path.read_bytes()
    for passenger in PASSENGERS:
        folder = Path(str(passenger.__file__)).parent
        for path in folder.rglob("*.py"):
            members[path.relative_to(folder.parent).as_posix()] = path.read_bytes()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(members):
            archive.writestr(zipfile.ZipInfo(name, DATE), members[name], zipfile.ZIP_DEFLATED)
    data = packed.getvalue()
    return Archive(data, hashlib.sha256(data).hexdigest())

"""A Python as a package of conda: a container image's own, moved."""

from __future__ import annotations

import base64
import io
import posixpath
import re
import tarfile
from collections.abc import Sequence

from ..image.condas import PLACEHOLDER, Conda
from ..lab.host import Host

LEFT_OUT = re.compile(
    r"/(test|tests|idlelib|lib2to3|tkinter|turtledemo|config-[^/]*)/|/site\.cpython"
)


def python_of(host: Host, image: str, version: str, libraries: Sequence[str] = ()) -> Conda:
    """Pack the Python of an image of Debian's.

    Parameters
    ----------
    host : Host
        That has the image.
    image : str
    version : str
        Major and minor.
    libraries : sequence of str
        Files of ``/usr`` that it finds by a variable: conda's programs know where theirs are.
    """
    names = f"bin/python{version} lib/python{version} {' '.join(libraries)}"
    packing = f"tar -czh -C /usr {names} | base64"
    text = host.exec("docker", "run", "--rm", "--entrypoint", "sh", image, "-c", packing).stdout
    files: dict[str, str | bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(text))) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isreg() or member.islnk() else None
            if content and not LEFT_OUT.search(member.name):
                files[member.name] = content.read()
    # Debian has its own places for what is installed besides. From 3.11 on they are compiled in.
    site = files[f"lib/python{version}/site.py"]
    assert isinstance(site, bytes)
    own = site.replace(b'"local/lib"', b'"lib"').replace(b"dist-packages", b"site-packages")
    files[f"lib/python{version}/site.py"] = own
    program = f"bin/python{version}"
    if libraries:
        files[f"{program}.real"] = files[program]
        files[program] = (
            f"#!/bin/sh\nexport LD_LIBRARY_PATH={PLACEHOLDER}/{posixpath.dirname(libraries[0])}\n"
            f'exec {PLACEHOLDER}/{program}.real "$@"\n'
        )
    links = {f"bin/python{each}": f"python{version}" for each in ("", "3")}
    return Conda("python", f"{version}.7", files=files, links=links)

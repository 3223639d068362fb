"""Images over a base with other versions of the same distributions: what goes, and what stays."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from kernelext.daemon.layers import LARGE_BYTES
from kernelext.recipe import NAMESPACE

from ..image.wheels import Index, make_wheel
from ..lab.host import Host
from ..lab.images import PLAIN_TAG
from .notebook import Notebook
from .test_image import hosts, image_ids, index, write_project

__all__ = ["hosts", "index"]

PIECES = "/var/lib/kernelext/pieces"
SHARED = {"shared/__init__.py": "", "shared/x.py": "WHOSE = 'one'\n"}
ASKED = """%%remote {}
import importlib.util, old_name, other, shared.x
said = old_name.VERSION, other.VERSION, shared.x.WHOSE
is_gone = importlib.util.find_spec("gone") is None
"""


def incompressible(size_bytes: int) -> str:
    """A text whose wheel is as large as it."""
    return random.Random(1).randbytes(size_bytes // 2).hex()


@pytest.mark.parametrize("size_bytes", [0, LARGE_BYTES], ids=["in one layer", "in a layer below"])
def test_what_another_wheel_brings_is_not_taken_away(
    lab_notebook: Notebook, project: Path, hosts: list[Host], index: Index, size_bytes: int
) -> None:
    module = {"old_name.py": "VERSION = 1\n", "gone/__init__.py": ""}
    make_wheel(index.folder, "one", "1.0", files={**module, **SHARED})
    make_wheel(index.folder, "one", "2.0", files={"old_name.py": "VERSION = 2\n"})
    brought = {"other.py": "VERSION = 1\n", "other.txt": incompressible(size_bytes)}
    moved = {name: text.replace("one", "two") for name, text in SHARED.items()}
    make_wheel(index.folder, "two", files={**brought, **moved})
    write_project(project, "one==1.0")
    lab_notebook.check("%remote image build --on host01,host02")
    base = tag_of(hosts[0])
    write_project(project, "one==2.0", "two", base=base)
    digests = []
    for host in hosts[:2]:
        lab_notebook.check(ASKED.format(host.name))
        assert lab_notebook.names["said"] == (2, 1, "two")
        assert lab_notebook.names["is_gone"]
        digests.append(set(image_ids(host)))
    assert digests[0] == digests[1]


def test_base_without_them_gets_no_layer_more(
    lab_notebook: Notebook, project: Path, hosts: list[Host], index: Index
) -> None:
    make_wheel(index.folder, "one")
    write_project(project, "one")
    lab_notebook.check("%remote image build --on host01")
    (image,) = image_ids(hosts[0])
    counted = "{{len .RootFS.Layers}}"
    layers = hosts[0].exec("docker", "inspect", "-f", counted, image, PLAIN_TAG).stdout.split()
    assert int(layers[0]) == int(layers[1]) + 1


def tag_of(host: Host) -> str:
    """What the one image of ours on a host is called."""
    names = "{{.Repository}}:{{.Tag}}"
    (tag,) = host.exec("docker", "images", "--format", names, f"{NAMESPACE}/*").stdout.split()
    return tag


def test_large_layer_is_not_made_again_for_one_package_more(
    lab_notebook: Notebook,
    project: Path,
    hosts: list[Host],
    index: Index,
) -> None:
    """Of which the engine has it, and its piece is here no more."""
    make_wheel(index.folder, "large", files={"large.txt": incompressible(LARGE_BYTES)})
    make_wheel(index.folder, "one")
    write_project(project, "large")
    lab_notebook.check("%remote image build --on host01")
    hosts[0].exec("find", PIECES, "-type", "f", "-delete")
    write_project(project, "large", "one")
    lab_notebook.check("%remote image build --on host01")
    lab_notebook.check("%%remote host01\nimport one")
    made = hosts[0].exec("find", PIECES, "-type", "f").stdout.split()
    large = hosts[0].exec("find", PIECES, "-type", "f", "-size", "+1M").stdout.split()
    assert made
    assert not large

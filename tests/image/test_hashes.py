"""Hashes in requirements: a wheel that is none of those that are written is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kernelext.errors import ImageBuildError
from kernelext.image.choosing import Chooser
from kernelext.image.condapart import CondaPart
from kernelext.image.reading import read_source
from kernelext.image.wheelhouse import Wheelhouse

from .test_resolving import TARGET
from .wheels import Index, make_wheel, sha256

OTHER = "0" * 64


def chooser(index: Index, project: Path, text: str) -> Chooser:
    """Of what a requirements file says."""
    (project / "requirements.txt").write_text(text)
    wanted = read_source(project, "requirements.txt")
    environ = {**os.environ, **index.environ()}
    return Chooser(wanted, project, Wheelhouse(project / "house"), environ)


def choose(index: Index, project: Path, text: str) -> str:
    """Choose what a requirements file says."""
    return chooser(index, project, text).lock(TARGET, CondaPart(), "", lambda _: None, lambda: None)


def test_wheel_with_a_hash_that_is_written_is_taken(index: Index, tmp_path: Path) -> None:
    own = sha256(make_wheel(index.folder, "below"))
    make_wheel(index.folder, "above", needs=("below",))
    for text in (
        f"above\nbelow==1.0 --hash=sha256:{own}\n",
        f"above\nbelow==1.0 \\\n    --hash=sha256:{OTHER} \\\n    --hash=sha256:{own.upper()}\n",
        f"above\nbelow==1.0 ; python_version >= '3' --hash sha256:{own}\n",
        f"above\nbelow==1.0 ; python_version < '3' --hash=sha256:{OTHER}\n",
    ):
        lock = choose(index, tmp_path, text)
        assert own in lock, text
        assert chooser(index, tmp_path, text).is_whole(lock, TARGET)


def test_wheel_with_another_hash_is_refused(index: Index, tmp_path: Path) -> None:
    own = sha256(make_wheel(index.folder, "below"))
    make_wheel(index.folder, "above", needs=("below",))
    line = f"below==1.0 --hash=sha256:{OTHER}"
    (tmp_path / "more.txt").write_text(f"{line}\n")
    address = f"below @ {index.url}/files/below-1.0-py3-none-any.whl --hash=sha256:{OTHER}"
    for text in (line, "-r more.txt", "above\n-c more.txt", address, "below --hash=md5:00"):
        with pytest.raises(ImageBuildError, match=r"^below-1.0-py3-none-any\.whl has .*none of"):
            choose(index, tmp_path, text)
    lock = choose(index, tmp_path, "above")
    assert own in lock
    assert not chooser(index, tmp_path, f"above\n{line}").is_whole(lock, TARGET), "of old notes"

"""What is built here, resolved with the rest, and built again when it is gone."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from kernelext.errors import ImageBuildError
from kernelext.image.choosing import Chooser
from kernelext.image.condapart import CondaPart
from kernelext.image.resolving import read_lock
from kernelext.image.wanted import Local, Wanted
from kernelext.image.wheelhouse import Wheelhouse
from kernelext.recipe import Wheel

from .packages import commit, write_package
from .test_resolving import TARGET
from .wheels import Index, make_wheel


def test_built_wheel_that_was_collected_is_built_again(index: Index, tmp_path: Path) -> None:
    make_wheel(index.folder, "below")
    local = Local(str(write_package(tmp_path / "own")))
    house = Wheelhouse(tmp_path / "house")
    wanted = Wanted("requirements.txt", local=(local,))
    chooser = Chooser(wanted, tmp_path, house, {**os.environ, **index.environ()})
    said: list[str] = []

    def choose(earlier: str) -> list[Wheel]:
        nonlocal lock
        lock = chooser.lock(TARGET, CondaPart(), earlier, said.append, lambda: None)
        return house.fetch(Wheel, read_lock(lock, TARGET), said.append)

    lock = ""
    assert not chooser.is_whole(lock, TARGET)
    first = choose("")
    assert chooser.is_whole(lock, TARGET)
    make_wheel(index.folder, "below", "2.0")
    assert house.drop(time.time() + 60, dry_run=False)
    assert not chooser.is_whole(lock, TARGET)
    assert choose(lock) == first
    assert chooser.is_whole(lock, TARGET)
    assert said.count("building own") == 2


def test_what_a_package_takes_from_an_address_itself(index: Index, tmp_path: Path) -> None:
    write_package(tmp_path / "lowest", name="lowest", needs=())
    commit(tmp_path / "lowest")
    lowest = f"git+{(tmp_path / 'lowest').as_uri()}"
    needs = (f"lowest @ {lowest}", "absent @ git+file:///absent ; python_version < '3'")
    write_package(tmp_path / "lower", name="lower", needs=needs)
    commit(tmp_path / "lower")
    lower = f"git+{(tmp_path / 'lower').as_uri()}"
    folder = write_package(tmp_path / "own", needs=(), extras={"git": f"lower @ {lower}"})
    house = Wheelhouse(tmp_path / "house")
    environ = {**os.environ, **index.environ()}

    def names(*local: Local) -> list[str]:
        chooser = Chooser(Wanted("requirements.txt", local=local), tmp_path, house, environ)
        lock = chooser.lock(TARGET, CondaPart(), "", lambda _: None, lambda: None)
        return [pin.name for pin in read_lock(lock, TARGET)]

    assert names(Local(str(folder))) == ["own"]
    asked = Local(str(folder), extras=("git",))
    assert names(asked) == ["lower", "lowest", "own"]
    assert names(asked, Local(str(tmp_path / "lower"))) == ["lower", "lowest", "own"]
    write_package(folder, needs=(f"lower @ {(tmp_path / 'lower').as_uri()}",))
    with pytest.raises(ImageBuildError, match=r"takes lower from .* write `lower @ file:///"):
        names(Local(str(folder)))
    assert names(Local(str(folder)), Local(str(tmp_path / "lower"))) == ["lower", "lowest", "own"]


def test_build_of_another_index_has_a_way_out(index: Index, tmp_path: Path) -> None:
    """As versions that are installed here are asked for: of the package, or of what needs it."""
    make_wheel(index.folder, "torch", "2.3.0")
    make_wheel(index.folder, "above", needs=("torch",))
    environ = {**os.environ, **index.environ()}
    limits = ("torch==2.3.0+cpu",)
    for wanted in (Wanted("x", ("torch==2.3.0+cpu",)), Wanted("x", ("above",), limits)):
        chooser = Chooser(wanted, tmp_path, Wheelhouse(tmp_path / "house"), environ)
        with pytest.raises(ImageBuildError) as caught:
            chooser.lock(TARGET, CondaPart(), "", lambda _: None, lambda: None)
        text = str(caught.value)
        assert text.startswith("x cannot be resolved: no index that is asked has torch 2.3.0+cpu")
        assert "`--extra-index-url URL`" in text
        assert "`torch==2.3.0`" in text
        assert "\n" not in text


def test_package_that_this_python_does_not_want_is_not_built(tmp_path: Path) -> None:
    absent = Local(str(tmp_path / "absent"), marker="sys_platform == 'win32'")
    wanted = Wanted("requirements.txt", local=(absent,))
    chooser = Chooser(wanted, tmp_path, Wheelhouse(tmp_path / "house"), os.environ)
    assert chooser.lock(TARGET, CondaPart(), "", lambda _: None, lambda: None) == ""


def test_nothing_wanted_is_whole(tmp_path: Path) -> None:
    chooser = Chooser(Wanted("requirements.txt"), tmp_path, Wheelhouse(tmp_path), os.environ)
    assert chooser.is_whole("", TARGET)

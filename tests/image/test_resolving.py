"""From requirements to wheels for the base's Python, against an index on loopback."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from kernelext.errors import ImageBuildError
from kernelext.image.lines import read_lines
from kernelext.image.resolving import prefer, read_lock, resolve
from kernelext.image.target import Target
from kernelext.image.wanted import Wanted
from kernelext.image.wheelhouse import Wheelhouse
from kernelext.models import ImageFacts
from kernelext.recipe import Wheel

from .wheels import Index, make_wheel, sha256

TARGET = Target("3.11", "x86_64-manylinux_2_31")


def pins(index: Index, *requirements: str, target: Target = TARGET, limits: str = "") -> list[str]:
    """Resolve, and say what was chosen."""
    wanted = Wanted("requirements.txt", requirements, (limits,) if limits else ())
    environ = {**os.environ, **index.environ()}
    lock = resolve(wanted, target, index.folder, environ)
    return [pin.file_name for pin in read_lock(lock, target)]


def test_what_is_needed_comes_with_it_within_the_limits(index: Index) -> None:
    for version in ("1.0", "2.0"):
        make_wheel(index.folder, "below", version)
    make_wheel(index.folder, "above", needs=("below",))
    assert pins(index, "above") == ["above-1.0-py3-none-any.whl", "below-2.0-py3-none-any.whl"]
    found = pins(index, "above", limits="below==1.0")
    assert found == ["above-1.0-py3-none-any.whl", "below-1.0-py3-none-any.whl"]
    assert pins(index) == []


def test_versions_that_are_preferred_are_taken_where_they_fit(index: Index) -> None:
    for name in ("below", "other"):
        for version in ("1.0", "2.0", "3.0"):
            make_wheel(index.folder, name, version)
    make_wheel(index.folder, "above", needs=("below>1",))
    environ = {**os.environ, **index.environ()}

    def chosen(earlier: str) -> dict[str, str]:
        wanted = Wanted("requirements.txt", ("above", "other"))
        lock = resolve(wanted, TARGET, index.folder, environ, earlier)
        return {pin.name: pin.version for pin in read_lock(lock, TARGET)}

    kept = prefer("", {"below": "2.0", "other": "1.0", "absent": "1.0"})
    assert chosen(kept) == {"above": "1.0", "below": "2.0", "other": "1.0"}
    assert chosen(prefer(kept, {"other": "2.0"}))["other"] == "2.0"
    assert chosen(prefer("", {"below": "1.0"}))["below"] == "3.0"
    assert prefer(kept, {}) == kept


def test_wheel_is_for_the_bases_python_and_not_for_this_one(index: Index) -> None:
    for tag in (
        "cp39-cp39-manylinux_2_17_x86_64",
        "cp311-cp311-manylinux_2_17_x86_64",
        "cp311-cp311-manylinux_2_36_x86_64",
        "cp311-cp311-macosx_11_0_arm64",
    ):
        make_wheel(index.folder, "fast", tag=tag)
    make_wheel(index.folder, "old", needs=("fast; python_version < '3.10'",))
    assert pins(index, "fast") == ["fast-1.0-cp311-cp311-manylinux_2_17_x86_64.whl"]
    older = Target("3.9", "x86_64-manylinux_2_31")
    found = pins(index, "old", target=older)
    assert found == ["fast-1.0-cp39-cp39-manylinux_2_17_x86_64.whl", "old-1.0-py3-none-any.whl"]
    assert pins(index, "old") == ["old-1.0-py3-none-any.whl"]


@pytest.mark.parametrize(
    ("requirements", "said"),
    [
        (("nowhere",), "nowhere was not found"),
        (("above", "below==2.0"), "depend on below==1.0"),
        (("fast",), "no wheels with a matching Python"),
        (("not a requirement !",), "cannot be resolved"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(
    index: Index, requirements: tuple[str, ...], said: str
) -> None:
    for version in ("1.0", "2.0"):
        make_wheel(index.folder, "below", version)
    make_wheel(index.folder, "above", needs=("below==1.0",))
    make_wheel(index.folder, "fast", tag="cp39-cp39-manylinux_2_17_x86_64")
    with pytest.raises(ImageBuildError) as caught:
        pins(index, *requirements)
    text = str(caught.value)
    assert text.startswith("requirements.txt for Python 3.11 cannot be resolved: ")
    assert said in text
    assert "\n" not in text


def test_versions_stay_when_something_else_is_added(index: Index, tmp_path: Path) -> None:
    environ = {**os.environ, **index.environ()}
    make_wheel(index.folder, "one", "1.0")
    before = resolve(Wanted("r", ("one",)), TARGET, tmp_path, environ)
    make_wheel(index.folder, "one", "2.0")
    make_wheel(index.folder, "two")
    wanted = Wanted("r", ("one", "two"))
    kept = read_lock(resolve(wanted, TARGET, tmp_path, environ, before), TARGET)
    assert [pin.version for pin in kept] == ["1.0", "1.0"]
    afresh = read_lock(resolve(wanted, TARGET, tmp_path, environ), TARGET)
    assert [pin.version for pin in afresh] == ["2.0", "1.0"]
    wanted = Wanted("r", ("one>1", "two"))
    moved = read_lock(resolve(wanted, TARGET, tmp_path, environ, before), TARGET)
    assert [pin.version for pin in moved] == ["2.0", "1.0"]


def test_folder_of_wheels_and_versions_before_a_release(index: Index, tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    for version in ("1.0", "2.0b1"):
        make_wheel(tmp_path / "wheels", "one", version)
    lines = ["--find-links=./wheels", "one"]
    wanted = read_lines(lines, tmp_path, "requirements.txt")
    assert pins(index, *wanted.requirements) == ["one-1.0-py3-none-any.whl"]
    assert pins(index, *wanted.requirements, "--pre") == ["one-2.0b1-py3-none-any.whl"]


def test_best_wheel_is_chosen_whatever_their_order(index: Index, tmp_path: Path) -> None:
    for tag in (
        "cp311-cp311-manylinux_2_28_x86_64",
        "cp311-cp311-manylinux2014_x86_64",
        "cp311-abi3-manylinux_2_28_x86_64",
        "py3-none-any",
    ):
        make_wheel(index.folder, "one", tag=tag)
    assert pins(index, "one") == ["one-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"]
    older = Target("3.11", "x86_64-manylinux_2_17")
    assert pins(index, "one", target=older) == ["one-1.0-cp311-cp311-manylinux2014_x86_64.whl"]
    assert pins(index, "one", target=Target("3.13", "aarch64-manylinux_2_28")) == [
        "one-1.0-py3-none-any.whl"
    ]


def facts(machine: str = "x86_64", libc: str = "2.36", python: str = "3.11.2") -> ImageFacts:
    """What a probe found."""
    return ImageFacts("sha256:0", python, {}, machine, libc)


def test_target_is_the_images() -> None:
    assert Target.of(facts(), "").key == "3.11-x86_64-manylinux_2_36"
    assert Target.of(facts("aarch64", "2.31", "3.9.2"), "").key == "3.9-aarch64-manylinux_2_31"
    assert Target.of(facts(libc="2.99"), "").platform == "x86_64-manylinux_2_40"
    with pytest.raises(ImageBuildError, match=r"no GNU C library .* python:3.11-slim"):
        Target.of(facts(libc=""), "alpine:3")
    with pytest.raises(ImageBuildError, match="for riscv64, for which few wheels"):
        Target.of(facts("riscv64"), "alpine:3")


# the wheels themselves


def test_wheels_are_fetched_once(index: Index, tmp_path: Path) -> None:
    made = [make_wheel(index.folder, name) for name in ("one", "two")]
    wanted = Wanted("requirements.txt", ("one", "two"))
    environ = {**os.environ, **index.environ()}
    found = read_lock(resolve(wanted, TARGET, tmp_path, environ), TARGET)
    house = Wheelhouse(tmp_path / "house")
    index.asked.clear()
    for _ in range(2):
        wheels = house.fetch(Wheel, found, lambda _: None)
        assert [wheel.chunks[0].digest for wheel in wheels] == [sha256(path) for path in made]
    assert sorted(index.asked) == [path.name for path in made]
    size_bytes = sum(path.stat().st_size for path in made)
    assert house.drop(time.time() - 60, dry_run=False) == 0
    assert house.drop(time.time() + 60, dry_run=True) == size_bytes
    assert house.drop(time.time() + 60, dry_run=False) == size_bytes
    assert list(house.folder.iterdir()) == []


def test_index_that_asks_for_a_login(index: Index, tmp_path: Path) -> None:
    make_wheel(index.folder, "one")
    index.login = "ada:p@ss"
    address = index.url.replace("://", "://ada:p%40ss@")
    environ = {**os.environ, "UV_NO_CACHE": "1", "PIP_INDEX_URL": f"{address}/simple"}
    lock = resolve(Wanted("requirements.txt", ("one",)), TARGET, tmp_path, environ)
    assert "p%40ss" not in lock
    found = read_lock(lock, TARGET)
    house = Wheelhouse(tmp_path / "house", environ)
    assert house.fetch(Wheel, found, lambda _: None)[0].name == "one"
    lines = [f"--extra-index-url={address}/simple", "one"]
    by_lines = Wheelhouse(tmp_path / "third", {}, lines)
    assert by_lines.fetch(Wheel, found, lambda _: None)[0].name == "one"
    stranger = Wheelhouse(tmp_path / "other")
    with pytest.raises(ImageBuildError, match="401"):
        stranger.fetch(Wheel, found, lambda _: None)


def test_broken_download_is_asked_for_again_and_then_said(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kernelext.image.wheelhouse.PAUSE_S", 0.0)
    wheel = make_wheel(index.folder, "one")
    wanted = Wanted("requirements.txt", ("one",))
    environ = {**os.environ, **index.environ()}
    found = read_lock(resolve(wanted, TARGET, tmp_path, environ), TARGET)
    house = Wheelhouse(tmp_path / "house")
    index.broken.add(wheel.name)
    index.asked.clear()
    with pytest.raises(ImageBuildError, match=r"one 1.0 cannot be fetched .* has come is kept"):
        house.fetch(Wheel, found, lambda _: None)
    assert len(index.asked) > 1
    assert [path.name for path in house.folder.glob("*/*")] == []
    index.broken.clear()
    assert house.fetch(Wheel, found, lambda _: None)[0].file_name == wheel.name

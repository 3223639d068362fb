"""Which wheels share a layer, and the layer's bytes."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import replace
from pathlib import Path

from kernelext.daemon.layers import (
    LARGE_BYTES,
    MAX_LARGE,
    AnyLayer,
    Layer,
    LayerTar,
    PostBuildLayer,
    ScriptLayer,
    WhiteoutLayer,
    stages_of,
)
from kernelext.models import Chunk, to_json
from kernelext.recipe import CondaPackage, Deb, Files, Recipe, Wheel

BASE = "sha256:" + "0" * 64


def wheel(name: str, size_bytes: int) -> Wheel:
    digest = hashlib.sha256(f"{name} {size_bytes}".encode()).hexdigest()
    return Wheel(name, "1.0", f"{name}-1.0-py3-none-any.whl", (Chunk(digest, size_bytes),))


def recipe(**sizes: int) -> Recipe:
    return Recipe("base:1", BASE, tuple(wheel(name, size) for name, size in sizes.items()))


def layers_of(asked: Recipe) -> list[AnyLayer]:
    return [layer for stage in stages_of(asked) for layer in stage.layers]


def names(asked: Recipe) -> list[list[str]]:
    layers = [layer for layer in layers_of(asked) if isinstance(layer, Layer)]
    return [[each.name for each in layer.packages] for layer in layers]


def test_small_wheels_share_the_topmost_layer() -> None:
    big = LARGE_BYTES
    found = names(recipe(b=1, scipy=3 * big, a=2, numpy=2 * big))
    assert found == [["scipy"], ["numpy"], ["a", "b"]]
    assert names(recipe()) == []


def test_a_small_wheel_more_changes_the_topmost_layer_alone() -> None:
    before = layers_of(recipe(numpy=2 * LARGE_BYTES, a=1))
    after = layers_of(recipe(numpy=2 * LARGE_BYTES, a=1, b=1))
    assert [layer.name for layer in before][1:-1] == [layer.name for layer in after][1:-1]
    assert before[-1].name != after[-1].name


def test_order_in_which_wheels_are_named_does_not_matter() -> None:
    one = recipe(numpy=2 * LARGE_BYTES, a=1, b=1)
    other = Recipe("base:1", BASE, tuple(reversed(one.wheels)))
    assert [layer.name for layer in layers_of(one)] == [layer.name for layer in layers_of(other)]


def test_engines_stack_so_many_layers_and_no_more() -> None:
    many = recipe(**{f"n{number}": LARGE_BYTES + number for number in range(200)})
    assert len(names(many)) == MAX_LARGE + 1
    assert len(layers_of(many)) == MAX_LARGE + 2


def test_what_wheels_replace_is_taken_away_below_them() -> None:
    """By their names alone: another version of one changes nothing of it."""
    lowest, *_ = layers_of(recipe(numpy=2 * LARGE_BYTES, a=1))
    newer, *_ = layers_of(recipe(a=2, numpy=3 * LARGE_BYTES))
    more, *_ = layers_of(recipe(a=1, b=1))
    assert isinstance(lowest, WhiteoutLayer)
    assert set(lowest.names) == {"a", "numpy"}
    assert lowest.name == newer.name != more.name


def test_debian_packages_are_one_layer_of_a_base() -> None:
    one, other = (Deb(name, "1", f"{name}.deb", (Chunk(name * 64, 1),)) for name in "ab")
    asked = Recipe("base:1", BASE, debs=(one, other))
    (layer,) = layers_of(asked)
    (same,) = layers_of(Recipe("base:2", BASE, debs=(other, one)))
    (less,) = layers_of(Recipe("base:1", BASE, debs=(one,)))
    assert layer.name == same.name != less.name
    assert [chunk.digest[0] for chunk in asked.chunks] == ["a", "b"]
    assert Recipe.from_json(to_json(asked)) == asked


def conda(name: str, kind: str = "", size_bytes: int = 1) -> CondaPackage:
    digest = hashlib.sha256(f"conda {name}".encode()).hexdigest()
    chunks = (Chunk(digest, size_bytes),)
    return CondaPackage(name, "1.0", f"{name}.conda", chunks, kind == "noarch", kind == "script")


def stages(*packages: CondaPackage, wheels: tuple[Wheel, ...] = ()) -> list[tuple[list[str], int]]:
    """What each stage has, and how many layers its containers have over the base."""
    asked = Recipe("base:1", BASE, wheels, debs=(Deb("d", "1", "d.deb", ()),), conda=packages)
    assert Recipe.from_json(to_json(asked)) == asked
    found = []
    for stage in stages_of(asked):
        if isinstance(stage.layers[0], WhiteoutLayer):
            found.append((["whiteouts"], len(stage.beneath)))
            continue
        packed = [each.packages for each in stage.layers if isinstance(each, (Layer, ScriptLayer))]
        names = [package.name for group in packed for package in group] or ["debs"]
        found.append((names, len(stage.beneath)))
    return found


def test_conda_python_installs_what_lies_over_it() -> None:
    python, tool = conda("python", size_bytes=LARGE_BYTES), conda("tool", "script")
    pure, one = conda("pure", "noarch"), (wheel("one", 1),)
    assert stages(python, tool, pure, wheels=one) == [
        (["python", "tool"], 0),
        (["pure"], 2),
        (["tool"], 3),
        (["debs"], 0),
        (["whiteouts"], 4),
        (["one"], 4),
    ]


def test_python_of_the_base_stays_without_one_of_conda() -> None:
    assert stages(conda("tool"), wheels=(wheel("one", 1),)) == [
        (["tool"], 0),
        (["debs"], 0),
        (["whiteouts"], 0),
        (["one"], 0),
    ]


def test_script_is_a_layer_of_its_files_its_turn_and_the_image_below() -> None:
    files = Files(Chunk("a" * 64, 1), "own/postBuild")
    first = Recipe("base:1", BASE, script=files)
    others = (
        Recipe("base:1", BASE, script=replace(files, manifest=Chunk("b" * 64, 1))),
        Recipe("base:1", BASE, script=replace(files, turn="2")),
        Recipe("base:1", BASE[:-1] + "1", script=files),
    )
    made = [layers_of(asked) for asked in (first, *others)]
    assert [[type(layer) for layer in layers] for layers in made] == [[PostBuildLayer]] * 4
    assert len({layers[0].name for layers in made}) == 4
    assert Recipe.from_json(to_json(first)) == first


def test_another_package_of_conda_does_not_change_the_layers_of_others() -> None:
    def layers(*packages: CondaPackage) -> dict[str, str]:
        recipe = Recipe("base:1", BASE, (wheel("one", 1),), conda=packages)
        found = [layer for layer in layers_of(recipe) if isinstance(layer, Layer)]
        return {layer.packages[0].name: layer.name for layer in found}

    python, pure = conda("python", size_bytes=LARGE_BYTES), conda("pure", "noarch")
    before = layers(python, pure)
    after = layers(python, pure, conda("tool"))
    assert [before[name] == after[name] for name in ("python", "pure", "one")] == [
        True,
        True,
        False,  # it may replace what any of them has
    ]
    assert layers(conda("a"), conda("b"))["one"] == layers(conda("b"))["one"]  # no Python there


def write_piece(path: Path, files: dict[str, bytes]) -> None:
    with path.open("wb") as raw:
        piece = tarfile.open(fileobj=raw, mode="w", format=tarfile.GNU_FORMAT)  # noqa: SIM115
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            piece.addfile(member, io.BytesIO(data))


def test_joined_pieces_are_one_tar_with_nothing_twice(tmp_path: Path) -> None:
    (*_, layer) = layers_of(recipe(a=1, b=2, c=3))
    long_name = "long/" + "n" * 150
    contents = [
        {"bin/x": b"from a", "a": bytes(700), long_name: b"a's"},
        {"b1": b"1", "bin/x": b"from b", "b2": bytes(512), long_name: b"b's", "b3": b"3"},
        {"bin/x": b"from c", "c": b"c"},
    ]
    for piece, files in zip(layer.pieces, contents, strict=True):
        write_piece(tmp_path / piece, files)
    joined = LayerTar(layer, tmp_path)
    data = b"".join(joined.read())
    assert len(data) == joined.size_bytes
    assert joined.diff_id() == f"sha256:{hashlib.sha256(data).hexdigest()}"
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        assert tar.getnames() == ["bin/x", "a", long_name, "b1", "b2", "b3", "c"]
        held = {name: file.read() for name in tar.getnames() if (file := tar.extractfile(name))}
    assert held["bin/x"] == b"from a"
    assert held[long_name] == b"a's"
    assert held["b3"] == b"3"

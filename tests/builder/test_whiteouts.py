"""What is taken away of an image below when its distributions are installed anew."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from kernelext.builder.whiteouts import write_whiteouts


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Where a Python's distributions are."""
    folder = tmp_path / "lib/site-packages"
    folder.mkdir(parents=True)
    return folder


def install(site: Path, name: str, files: Mapping[str, str]) -> None:
    """Write a distribution as pip leaves it."""
    info = f"{name}-1.0.dist-info"
    members = {**files, f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"}
    lines = [f"{path},," for path in (*members, f"{info}/RECORD")]
    for path, text in {**members, f"{info}/RECORD": "\n".join(lines)}.items():
        target = site / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


def whiteouts(site: Path, *names: str) -> list[str]:
    """What is taken away, relative to the distributions' folder."""
    piece = site.parent / "piece.tar"
    write_whiteouts(names, piece, str(site))
    piece.write_bytes(piece.read_bytes() + bytes(1024))
    with tarfile.open(piece, "r:") as tar:
        found = [f"/{member.name}" for member in tar]
    assert all("/.wh." in name for name in found), "folders that are there are not brought"
    return [str(Path(name.replace("/.wh.", "/")).relative_to(site)) for name in found]


def test_folders_with_nothing_else_go_as_a_whole(site: Path) -> None:
    install(site, "Pkg", {"pkg/__init__.py": "", "pkg/inner/x.py": ""})
    (site / "pkg/__pycache__").mkdir()
    (site / "pkg/__pycache__/__init__.cpython-311.pyc").touch()
    assert whiteouts(site, "pkg") == ["Pkg-1.0.dist-info", "pkg"]


def test_what_others_have_stays(site: Path) -> None:
    install(site, "one", {"shared/x.py": "", "shared/__init__.py": ""})
    install(site, "two", {"shared/y.py": "", "shared/__init__.py": ""})
    assert whiteouts(site, "one") == ["one-1.0.dist-info", "shared/x.py"]
    assert whiteouts(site, "one", "two") == ["one-1.0.dist-info", "shared", "two-1.0.dist-info"]


def test_what_is_not_there_is_not_taken_away(site: Path) -> None:
    install(site, "one", {"one/x.py": "", "one/y.py": ""})
    (site / "one/x.py").unlink()
    (site / "one/kept.txt").touch()
    assert whiteouts(site, "one") == ["one-1.0.dist-info", "one/y.py"]
    assert whiteouts(site, "absent") == []


def test_only_what_the_image_has_decides(site: Path) -> None:
    install(site, "one", {"one.py": ""})
    install(site, "two", {"two.py": ""})
    assert whiteouts(site, "one", "two", "three") == whiteouts(site, "three", "two", "one")

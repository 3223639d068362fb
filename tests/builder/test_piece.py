"""What a wheel installs, as a piece of a layer."""

from __future__ import annotations

import importlib.util
import marshal
import tarfile
from pathlib import Path

import pytest

from kernelext.builder.piece import write_piece
from kernelext.recipe import EPOCH_S

from ..image.wheels import make_wheel

SITE = "/opt/lib/site-packages"
SCHEMES = {
    "purelib": SITE,
    "platlib": SITE,
    "scripts": "/opt/bin",
    "headers": "/opt/include",
    "data": "/opt",
}


def members(piece: Path) -> dict[str, tarfile.TarInfo]:
    """Read a piece, which has no end, as the layer that it would be alone."""
    whole = piece.with_suffix(".whole")
    whole.write_bytes(piece.read_bytes() + bytes(1024))
    with tarfile.open(whole, "r:") as layer:
        layer.extractall(piece.parent / "tree", filter="tar")
        return {f"/{member.name}": member for member in layer}


def test_installation_is_complete(tmp_path: Path) -> None:
    files = {"pkg/__init__.py": "X = 1\n", "pkg/tests/test_x.py": "Y = 1\n", "pkg/data.txt": "é"}
    wheel = make_wheel(tmp_path, "pkg", files=files, scripts={"run-pkg": "pkg:main"})
    write_piece(wheel, tmp_path / "piece.tar", SCHEMES)
    found = members(tmp_path / "piece.tar")
    tree = tmp_path / "tree" / SITE.lstrip("/")
    assert (tree / "pkg/data.txt").read_text() == "é"
    assert (tmp_path / "tree/opt/bin/run-pkg").stat().st_mode & 0o777 == 0o755
    assert "from pkg import main" in (tmp_path / "tree/opt/bin/run-pkg").read_text()
    assert "../../bin/run-pkg," in (tree / "pkg-1.0.dist-info/RECORD").read_text()
    assert (tree / "pkg-1.0.dist-info/INSTALLER").read_text() == "kernelext\n"
    assert all(member.mtime == EPOCH_S for member in found.values())
    assert {(member.uid, member.gid, member.uname) for member in found.values()} == {(0, 0, "")}


def test_byte_code_is_what_python_would_write(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "pkg", files={"pkg.py": "X = 1\n", "broken.py": "print 1\n"})
    write_piece(wheel, tmp_path / "piece.tar", SCHEMES)
    found = members(tmp_path / "piece.tar")
    tree = tmp_path / "tree"
    compiled = importlib.util.cache_from_source(f"{SITE}/pkg.py")
    data = (tree / compiled.lstrip("/")).read_bytes()
    assert data[:4] == importlib.util.MAGIC_NUMBER
    assert data[4:16] == bytes(4) + EPOCH_S.to_bytes(4, "little") + (6).to_bytes(4, "little")
    assert marshal.loads(data[16:]).co_filename == f"{SITE}/pkg.py"
    assert importlib.util.cache_from_source(f"{SITE}/broken.py") not in found


def test_piece_is_the_same_every_time(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "pkg", files={"pkg.py": "X = {'a', 'b', 'c', 1, 2.5}\n"})
    for name in ("one", "two"):
        write_piece(wheel, tmp_path / name, SCHEMES)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_folder_that_the_base_has_comes_along(tmp_path: Path) -> None:
    """The distribution whose it is may be replaced, and its folders go with it."""
    site = tmp_path / "image/site-packages"
    (site / "shared/inner").mkdir(parents=True)
    (tmp_path / "image/bin").mkdir()
    schemes = {
        **SCHEMES,
        "purelib": str(site),
        "platlib": str(site),
        "scripts": f"{site.parent}/bin",
    }
    files = {"shared/inner/x.py": "", "shared/y.py": ""}
    wheel = make_wheel(tmp_path, "pkg", files=files, scripts={"run-pkg": "shared.y:main"})
    write_piece(wheel, tmp_path / "piece.tar", schemes)
    found = members(tmp_path / "piece.tar")
    folders = {name for name, member in found.items() if member.isdir()}
    assert {f"{site}/shared", f"{site}/shared/inner"} <= folders
    assert not folders & {str(site), f"{site.parent}/bin"}


@pytest.mark.parametrize("path", ["../escaped.py", "pkg/../../../escaped.py"])
def test_wheel_that_would_write_elsewhere_is_refused(tmp_path: Path, path: str) -> None:
    wheel = make_wheel(tmp_path, "pkg", files={path: "X = 1\n"})
    with pytest.raises(ValueError, match="outside of its folder"):
        write_piece(wheel, tmp_path / "piece.tar", SCHEMES)

"""What a package of conda installs, as a piece of a layer."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import struct
import tarfile
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from kernelext.builder import zstd
from kernelext.builder.condapiece import Interpreter, write_conda_piece
from kernelext.recipe import CONDA_PREFIX, EPOCH_S

from ..image.condas import PLACEHOLDER, Conda
from .test_piece import members

PYTHON = Interpreter(f"{CONDA_PREFIX}/bin/python3", f"{CONDA_PREFIX}/lib/python3.11/site-packages")
TOOL = Conda(
    "tool",
    files={
        "bin/tool": f"#!{PLACEHOLDER}/bin/sh\necho {PLACEHOLDER}/share\n",
        "lib/libtool.so.1": b"\x7fELF" + PLACEHOLDER.encode() + b"/lib:" + b"/usr\0end\0",
        "share/tool/data.txt": "unchanged",
    },
    links={"lib/libtool.so": "libtool.so.1"},
)


def install(package: Conda, tmp_path: Path, python: Interpreter | None = None) -> Path:
    """Write a package's piece and unpack it; the environment's folder."""
    write_conda_piece(package.write(tmp_path), tmp_path / "piece.tar", python)
    found = members(tmp_path / "piece.tar")
    assert all(member.mtime == EPOCH_S for member in found.values())
    assert all(path.startswith("/opt") for path in found)
    return tmp_path / "tree" / CONDA_PREFIX.lstrip("/")


@pytest.mark.parametrize("form", [".conda", ".tar.bz2"])
def test_files_are_those_of_the_environments_folder(tmp_path: Path, form: str) -> None:
    prefix = install(replace(TOOL, form=form), tmp_path)
    assert (prefix / "bin/tool").read_text() == (
        f"#!{CONDA_PREFIX}/bin/sh\necho {CONDA_PREFIX}/share\n"
    )
    assert (prefix / "bin/tool").stat().st_mode & 0o777 == 0o755
    library = (prefix / "lib/libtool.so.1").read_bytes()
    text, rest = library[4:].split(b"\0", 1)
    assert text == f"{CONDA_PREFIX}/lib:/usr".encode()
    assert rest.lstrip(b"\0") == b"end\0"
    original = TOOL.files["lib/libtool.so.1"]
    assert isinstance(original, bytes)
    assert len(library) == len(original)
    assert (prefix / "lib/libtool.so").readlink() == Path("libtool.so.1")
    assert (prefix / "share/tool/data.txt").read_text() == "unchanged"
    record = json.loads((prefix / "conda-meta/tool-1.0-0.json").read_text())
    assert record["files"] == [
        "bin/tool",
        "lib/libtool.so",
        "lib/libtool.so.1",
        *record["files"][3:],
    ]
    assert (prefix / "conda-meta/history").exists()


def test_package_of_python_code_alone(tmp_path: Path) -> None:
    package = Conda(
        "pure",
        files={
            "site-packages/pure/__init__.py": "X = 1\n",
            "python-scripts/old": f"#!{PLACEHOLDER}/bin/python\n",
        },
        noarch="python",
        commands=("run-pure = pure.cli:main",),
    )
    prefix = install(package, tmp_path, PYTHON)
    source = f"{PYTHON.site_packages}/pure/__init__.py"
    compiled = importlib.util.cache_from_source(source)
    assert (tmp_path / "tree" / source.lstrip("/")).read_text() == "X = 1\n"
    data = (tmp_path / "tree" / compiled.lstrip("/")).read_bytes()
    assert data[4:16] == struct.pack("<III", 0, EPOCH_S, 6)
    command = (prefix / "bin/run-pure").read_text()
    assert command.startswith(f"#!{PYTHON.path}\n")
    assert "from pure.cli import main" in command
    assert (prefix / "bin/old").read_text() == f"#!{CONDA_PREFIX}/bin/python\n"
    assert (prefix / "bin/old").stat().st_mode & 0o111


def test_byte_code_of_a_package_has_the_date_that_its_files_get(tmp_path: Path) -> None:
    head = importlib.util.MAGIC_NUMBER
    by_date, by_hash = head + bytes(4) + b"DATE" + b"rest", head + b"\1\0\0\0" + b"HASHHASH"
    files = {"lib/__pycache__/a.pyc": by_date, "lib/__pycache__/b.pyc": by_hash}
    prefix = install(Conda("coded", files=files), tmp_path)
    cache = prefix / "lib/__pycache__"
    assert (cache / "a.pyc").read_bytes() == by_date.replace(b"DATE", struct.pack("<I", EPOCH_S))
    assert (cache / "b.pyc").read_bytes() == by_hash


def test_package_of_before_2017(tmp_path: Path) -> None:
    """Which does not list its files, and says in another one where it names a folder."""
    listing = "/opt/anaconda1anaconda2anaconda3"
    files = {"bin/plain": f"{listing}/x", "bin/named": f"{PLACEHOLDER}/y", "bin/none": listing}
    info = {"index.json": json.dumps(TOOL.index)}
    info["has_prefix"] = f'bin/plain\n"{PLACEHOLDER}" "text" "bin/named"\n'
    package = tmp_path / "old-1-0.tar.bz2"
    with tarfile.open(package, "w:bz2") as tar:
        for path, text in {**{f"info/{name}": info[name] for name in info}, **files}.items():
            (tmp_path / "file").write_text(text)
            tar.add(tmp_path / "file", path)
    write_conda_piece(package, tmp_path / "piece.tar")
    members(tmp_path / "piece.tar")
    prefix = tmp_path / "tree" / CONDA_PREFIX.lstrip("/")
    assert (prefix / "bin/plain").read_text() == f"{CONDA_PREFIX}/x"
    assert (prefix / "bin/named").read_text() == f"{CONDA_PREFIX}/y"
    assert (prefix / "bin/none").read_text() == listing


def test_piece_is_the_same_every_time(tmp_path: Path) -> None:
    package = TOOL.write(tmp_path)
    for name in ("one", "two"):
        write_conda_piece(package, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize(
    ("package", "said"),
    [
        (Conda("bad", files={"../out": "x"}), "writes outside of its folder: ../out"),
        (Conda("bad", noarch="python", commands=("nonsense",)), "'nonsense' is no command"),
    ],
)
def test_package_that_is_wrong_is_refused(tmp_path: Path, package: Conda, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        write_conda_piece(package.write(tmp_path), tmp_path / "piece.tar", PYTHON)


@pytest.mark.parametrize("size_bytes", [0, 1, zstd.READ_BYTES, 3 * zstd.READ_BYTES + 7])
def test_zstandard_of_any_size(size_bytes: int) -> None:
    data = os.urandom(size_bytes // 2) + bytes(size_bytes - size_bytes // 2)
    found = io.BytesIO()
    zstd.unpack(io.BytesIO(pa.compress(data, codec="zstd", asbytes=True)), found)
    assert found.getvalue() == data


def test_damaged_zstandard(tmp_path: Path) -> None:
    package = TOOL.write(tmp_path)
    whole = package.read_bytes()
    head = whole.index(b"\x28\xb5\x2f\xfd")  # a frame's first bytes
    package.write_bytes(whole[: head + 6] + bytes(40) + whole[head + 46 :])
    with pytest.raises(Exception, match=r"damaged|too early|CRC"):
        write_conda_piece(package, tmp_path / "piece.tar")

"""What is wrong with stored bytes is said, and never becomes a value."""

from __future__ import annotations

import dataclasses
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kernelext.errors import ValueCodecError
from kernelext.models import Chunk
from kernelext.values import Encoded, decode, encode, stored

from .trips import joined

BOTH = ("numpy", "blosc2")
VALUES: dict[str, Any] = {
    "json": [1, 2, {"a": (3,)}],
    "npy": np.arange(50),
    "blosc2": np.arange(300_000.0),
    "pickle": {1: object},
    "module": sys,
}


def encoded(codec: str) -> Encoded:
    made = encode("x", VALUES[codec], {}, abilities=BOTH)
    assert made.ref.codec == codec
    return made


def renamed(made: Encoded, data: bytes) -> Any:
    """Return a manifest that vouches for other bytes."""
    return dataclasses.replace(made.ref, chunks=stored.cut([data])[0])


@pytest.mark.parametrize("codec", VALUES)
def test_damaged_bytes_are_refused(codec: str, tmp_path: Path) -> None:
    made = encoded(codec)
    data = joined(made)
    for bad in (b"", data[:-1], data + b"x", data[:-1] + bytes([data[-1] ^ 1])):
        (tmp_path / "x").write_bytes(bad)
        with pytest.raises(ValueCodecError, match="`x`"):
            decode(made.ref, bad, {})
        with pytest.raises(ValueCodecError, match="`x`"):
            decode(made.ref, tmp_path / "x", {})


@pytest.mark.parametrize("codec", ["json", "npy", "blosc2", "pickle"])
@pytest.mark.parametrize("bad", [b"", b"\xff" * 40, b'{"$unknown":1}', b"\x93NUMPY\x02\0"])
def test_bytes_of_another_kind_are_refused(codec: str, bad: bytes) -> None:
    with pytest.raises(ValueCodecError, match="`x`"):
        decode(renamed(encoded(codec), bad), bad, {})


def test_array_that_is_not_as_promised_is_refused() -> None:
    made = encoded("npy")
    with pytest.raises(ValueCodecError, match="instead of"):
        decode(dataclasses.replace(made.ref, shape=(25, 2)), joined(made), {})


def test_unknown_codec_is_refused() -> None:
    ref = dataclasses.replace(encoded("json").ref, codec="tomorrow")
    with pytest.raises(ValueCodecError, match=r"`tomorrow`.* newer kernelext"):
        decode(ref, b"1", {})


def test_missing_file_is_refused(tmp_path: Path) -> None:
    for codec in ("json", "npy"):
        with pytest.raises(ValueCodecError, match="cannot be read"):
            decode(encoded(codec).ref, tmp_path / "absent", {})


@pytest.mark.parametrize("codec", ["npy", "blosc2"])
def test_missing_library_is_named(codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = encoded(codec)
    library = "numpy" if codec == "npy" else codec
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ValueCodecError, match=f"needs `{library}`.* --image"):
        decode(made.ref, joined(made), {})


def test_missing_library_of_a_pickle_is_named() -> None:
    made = encoded("pickle")
    data = b"cabsent_library.inner\nThing\n."
    with pytest.raises(ValueCodecError, match="needs `absent_library`"):
        decode(renamed(made, data), data, {})


def test_missing_module_is_the_cells_own_error() -> None:
    made = encoded("module")
    with pytest.raises(ModuleNotFoundError, match="absent_module"):
        decode(renamed(made, b"absent_module"), b"absent_module", {})


def test_memoryview_is_read() -> None:
    for codec, value in VALUES.items():
        made = encoded(codec)
        back = decode(made.ref, memoryview(joined(made)), {})
        assert np.array_equal(back, value) if codec in BOTH else str(back) == str(value)


def test_chunks_join_small_buffers_and_cut_large_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "CHUNK_BYTES", 4)
    for sizes in ([0], [4], [3, 2, 9], [1] * 9, [8, 0, 1], [4, 4]):
        buffers = [bytes([65 + k]) * size for k, size in enumerate(sizes)]
        chunks, parts = stored.cut(buffers)
        assert b"".join(parts) == b"".join(buffers)
        assert chunks == tuple(Chunk(sha256(p).hexdigest(), len(p)) for p in parts)
        assert max(len(p) for p in parts) <= 4
    assert [len(p) for p in stored.cut([b"a"] * 9)[1]] == [4, 4, 1]

"""The arrays inside anything else lie beside its pickle, in one file that is a ZIP."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import blosc2
import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from kernelext.errors import ValueCodecError
from kernelext.values import decode, encode, identity

from .trips import joined, new_namespace, there_and_back

RNG = np.random.default_rng(0)
COUNTS = RNG.poisson(2, (600, 500)).astype("f8")
NOISE = RNG.integers(0, 2**63, 30_000).view("f8")  # does not compress


def test_arrays_lie_beside_the_pickle(tmp_path: Path) -> None:
    value = {"counts": COUNTS, "noise": NOISE, "again": COUNTS, "small": np.arange(9)}
    encoded = encode("x", value, {})
    (tmp_path / "x.zip").write_bytes(joined(encoded))
    back = decode(encoded.ref, tmp_path / "x.zip", {})

    assert encoded.ref.codec == "pickle_zip"
    assert encoded.ref.stored_bytes < 0.4 * encoded.ref.size_bytes
    for name, array in value.items():
        assert back[name].tobytes() == array.tobytes()
        assert back[name].flags.writeable
        assert back[name].flags.aligned
    assert back["counts"] is back["again"]
    assert identity("x", back, {}) == encoded.ref.identity
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["value.pickle", "0.b2nd", "1.raw"]
        alone = blosc2.ndarray_from_cframe(archive.read("0.b2nd"))[...]
        assert alone.tobytes() == COUNTS.tobytes()
        assert archive.read("1.raw") == NOISE.tobytes()
        assert len(archive.read("value.pickle")) < 1_000


def test_image_without_blosc2_gets_them_raw() -> None:
    encoded = encode("x", [COUNTS], {}, abilities=("numpy",))
    assert encoded.ref.codec == "pickle_zip"
    assert b".b2nd" not in joined(encoded)[-200:]
    assert there_and_back([COUNTS], abilities=("numpy",))[0].tobytes() == COUNTS.tobytes()


LAYOUTS: dict[str, Any] = {
    "fortran": np.asfortranarray(COUNTS),
    "reversed": COUNTS[::-1],
    "big-endian": COUNTS.astype(">f8"),
    "longdouble": COUNTS.astype("g"),
    "structured": np.zeros(20_000, "i4,S3,>f8"),
    "dates": NOISE.view("M8[s]"),
    "read-only": np.frombuffer(NOISE.tobytes()),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_arrays_keep_their_layout(name: str) -> None:
    array = LAYOUTS[name]
    back = there_and_back([array, 1])[0]

    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert back.flags.f_contiguous == array.flags.f_contiguous
    assert back.flags.writeable == array.flags.writeable


@pytest.mark.parametrize("size", [3, 20_000])
@pytest.mark.parametrize("is_hard", [False, True])
@pytest.mark.parametrize("has_mask", [False, True])
def test_masked_array_comes_back_whole(size: int, is_hard: bool, has_mask: bool) -> None:
    array = np.ma.MaskedArray(RNG.normal(size=size), hard_mask=is_hard, fill_value=7)
    if has_mask:
        array[1] = np.ma.masked
    back = there_and_back(array)

    assert type(back) is np.ma.MaskedArray
    assert (back.hardmask, back.fill_value) == (is_hard, 7)
    assert (back._mask is np.ma.nomask) == (not has_mask)
    assert back.data.tobytes() == array.data.tobytes()  # below the mask too
    assert np.array_equal(np.ma.getmaskarray(back), np.ma.getmaskarray(array))
    assert identity("x", back, {}) == identity("x", array, {})
    back[0] = 1.0


def test_array_of_objects_comes_back() -> None:
    array = np.empty((2, 2), object)
    array[:] = [[1, "a"], [None, NOISE]]
    back = there_and_back(array)
    assert back.shape == (2, 2)
    assert back[0].tolist() == [1, "a"]
    assert back[1, 1].tobytes() == NOISE.tobytes()


def test_model_with_large_arrays_predicts_the_same() -> None:
    model = KNeighborsClassifier(3).fit(COUNTS, RNG.integers(0, 2, 600))
    encoded = encode("x", model, {})
    assert encoded.ref.codec == "pickle_zip"
    assert "sklearn" in encoded.libraries
    assert not encoded.holds_code
    assert np.array_equal(there_and_back(model).predict(COUNTS), model.predict(COUNTS))


def test_notebook_class_with_an_array_comes_back() -> None:
    notebook = new_namespace("class Model:\n def __init__(self, x): self.x = x")
    value = notebook["Model"](NOISE)
    encoded = encode("x", value, notebook)
    assert encoded.holds_code
    assert there_and_back(value, notebook).x.tobytes() == NOISE.tobytes()


def test_damaged_file_is_refused() -> None:
    encoded = encode("x", [COUNTS], {})
    data = bytearray(joined(encoded))
    data[len(data) // 2] ^= 1
    with pytest.raises(ValueCodecError, match="damaged"):
        decode(encoded.ref, bytes(data), {})

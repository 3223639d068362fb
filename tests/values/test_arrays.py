"""Arrays come back with their bits, dtype, shape and order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import blosc2
import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernelext.models import CHUNK_BYTES
from kernelext.values import arrays, decode, encode, identity

from .trips import joined, there_and_back

BOTH = ("numpy", "blosc2")
SIMPLE = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", "c8", "c16"]
OTHER = [">f8", ">i2", "g", "G", "S5", "U3", "M8[ns]", "M8[D]", "m8[s]", "V7", "i4,S3,>f8"]
RNG = np.random.default_rng(0)


def same(back: Any, array: np.ndarray) -> None:
    assert type(back) is np.ndarray
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()
    assert back.flags.writeable
    assert back.flags.aligned


@pytest.fixture
def any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "SMALL_BYTES", -1)


def counts(*shape: int, dtype: str = "f8") -> np.ndarray:
    return RNG.poisson(2, shape).astype(dtype)


shapes = npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6)
dtypes = (
    npst.scalar_dtypes()
    | npst.byte_string_dtypes()
    | npst.unicode_string_dtypes()
    | npst.array_dtypes(max_size=3)
)


@st.composite
def layouts(draw: st.DrawFn, of: Any = dtypes) -> np.ndarray:
    array = draw(npst.arrays(of, shapes))
    layout = draw(st.sampled_from(["C", "F", "reversed", "strided"]))
    if layout == "F":
        return np.asfortranarray(array) if array.ndim else array
    if layout == "reversed" and array.ndim:
        return array[::-1]
    return array[..., ::2] if layout == "strided" and array.ndim else array


@given(layouts())
def test_any_array_comes_back(array: np.ndarray) -> None:
    back = there_and_back(array)

    same(back, array)
    if array.flags.contiguous or array.flags.f_contiguous:
        assert back.flags.c_contiguous == array.flags.c_contiguous
        assert back.flags.f_contiguous == array.flags.f_contiguous
    if encode("x", array, {}).ref.codec != "pickle":
        assert identity("x", back, {}) == identity("x", array, {})


def test_identity_is_the_same_with_and_without_compressing() -> None:
    array = np.random.default_rng(0).poisson(2, (300_000, 7)).astype("f8")
    compressed = encode("x", array, {})
    plain = encode("x", array, {}, abilities=())
    assert (compressed.ref.codec, plain.ref.codec) == ("blosc2", "npy")
    assert compressed.ref.identity == plain.ref.identity == identity("x", array, {})


@pytest.mark.usefixtures("any_size")
@pytest.mark.parametrize("dtype", SIMPLE)
@pytest.mark.parametrize("order", "CF")
def test_simple_dtype_is_a_blosc2_frame(dtype: str, order: Any, tmp_path: Path) -> None:
    array = np.asarray(counts(300, 40, dtype=dtype), order=order)
    encoded = encode("x", array, {}, abilities=BOTH)
    (tmp_path / "x.b2nd").write_bytes(joined(encoded))

    back = decode(encoded.ref, tmp_path / "x.b2nd", {})
    alone = blosc2.open(str(tmp_path / "x.b2nd"), mode="r")

    assert encoded.ref.codec == "blosc2"
    assert (encoded.ref.dtype, encoded.ref.shape) == (str(array.dtype), (300, 40))
    assert encoded.ref.size_bytes == array.nbytes
    assert encoded.ref.stored_bytes < array.nbytes
    same(back, array)
    assert back.flags.f_contiguous == (order == "F")
    assert np.array_equal(alone[...], array.T if order == "F" else array)
    assert ("kernelext" in alone.schunk.meta) == (order == "F")


@pytest.mark.parametrize("dtype", [*SIMPLE, *OTHER])
@pytest.mark.parametrize("order", "CF")
def test_npy_opens_with_numpy_alone(dtype: str, order: Any, tmp_path: Path) -> None:
    size = np.dtype(dtype).itemsize
    flat = np.frombuffer(bytes([0, 1, 0]) * size * 5, dtype)
    array = flat.reshape((5, 3), order=order)
    encoded = encode("x", array, {}, abilities=["numpy"])
    (tmp_path / "x.npy").write_bytes(joined(encoded))

    alone = np.load(tmp_path / "x.npy", allow_pickle=False)
    back = decode(encoded.ref, str(tmp_path / "x.npy"), {})

    assert encoded.ref.codec == "npy"
    same(alone, array)
    same(back, array)
    assert back.flags.f_contiguous == (order == "F")


@pytest.mark.usefixtures("any_size")
@pytest.mark.parametrize("dtype", OTHER)
def test_dtype_beyond_blosc2_is_npy(dtype: str) -> None:
    assert encode("x", np.zeros(3, dtype), {}, abilities=BOTH).ref.codec == "npy"


def test_large_array_is_cut_into_chunks() -> None:
    array = np.frombuffer(RNG.bytes(2 * CHUNK_BYTES + 4), "u4")
    encoded = encode("x", array, {}, abilities=BOTH)

    assert encoded.ref.codec == "npy"  # does not compress
    assert [c.size_bytes for c in encoded.ref.chunks] == [128, CHUNK_BYTES, CHUNK_BYTES, 4]
    same(decode(encoded.ref, joined(encoded), {}), array)


def test_small_array_needs_no_blosc2() -> None:
    assert encode("x", counts(1000), {}, abilities=BOTH).ref.codec == "npy"
    assert encode("x", counts(200_000), {}, abilities=BOTH).ref.codec == "blosc2"


@pytest.mark.usefixtures("any_size")
def test_identity_is_the_same_for_every_codec() -> None:
    array = counts(100, 100)
    refs = [encode("x", array, {}, abilities=a).ref for a in (BOTH, ["numpy"])]

    assert [ref.codec for ref in refs] == ["blosc2", "npy"]
    assert {ref.identity for ref in refs} == {identity("y", array.copy(), {})}


@pytest.mark.parametrize(
    "other",
    [
        np.arange(6.0).reshape(3, 2),
        np.arange(6.0).reshape(2, 3, order="F"),
        np.arange(6).reshape(2, 3),
        np.arange(6.0)[::-1].reshape(2, 3),
        np.arange(6.0).astype(">f8").reshape(2, 3),
    ],
    ids=["shape", "order", "dtype", "values", "byte order"],
)
def test_identity_tells_arrays_apart(other: np.ndarray) -> None:
    assert identity("x", np.arange(6.0).reshape(2, 3), {}) != identity("x", other, {})


def test_identity_sees_every_bit() -> None:
    zero, minus, nan, odd = np.zeros(3), -np.zeros(3), np.full(3, np.nan), np.full(3, np.nan)
    odd.view("u8")[1] += 1
    assert len({identity("x", a, {}) for a in (zero, minus, nan, odd)}) == 4
    for array in (zero, minus, nan, odd):
        same(there_and_back(array), array)


def test_read_only_and_memory_mapped_arrays_come_back_writable(tmp_path: Path) -> None:
    array = counts(4, 5)
    np.save(tmp_path / "a.npy", array)
    array.flags.writeable = False

    same(there_and_back(array), array)
    same(there_and_back(np.load(tmp_path / "a.npy", mmap_mode="r")), array)


@pytest.mark.usefixtures("any_size")
def test_array_of_many_dimensions_is_npy() -> None:
    assert encode("x", np.ones((2,) * 8), {}, abilities=BOTH).ref.codec == "blosc2"
    assert encode("x", np.ones((2,) * 9), {}, abilities=BOTH).ref.codec == "npy"
    same(there_and_back(np.ones((1,) * 20)), np.ones((1,) * 20))


ALIGNED = np.dtype([("a", "i1"), ("b", "f8")], align=True)
RECORD = np.dtype((np.record, [("a", "i4")]))


@pytest.mark.parametrize(
    "dtype",
    [
        ALIGNED,
        [("outer", ALIGNED), ("n", "i4")],
        [("outer", ALIGNED, (3,))],
        RECORD,
        [("outer", RECORD)],
        [("m", np.dtype("i4", metadata={"unit": "s"}))],
    ],
    ids=["aligned", "within", "many within", "record", "record within", "metadata within"],
)
def test_dtype_that_npy_would_change_comes_back(dtype: Any) -> None:
    array = np.frombuffer(RNG.bytes(np.dtype(dtype).itemsize * 5), dtype).copy()
    encoded = encode("x", array, {})
    back = decode(encoded.ref, joined(encoded), {})

    assert encoded.ref.codec == "pickle"
    same(back, array)
    assert every_part(back.dtype) == every_part(array.dtype)


def every_part(dtype: np.dtype) -> list[Any]:
    """Return what `==` of dtypes leaves out, of a dtype and of all within it."""
    own = [dtype.type, dtype.isalignedstruct, dtype.alignment, dtype.metadata]
    if dtype.subdtype:
        return [*own, every_part(dtype.subdtype[0])]
    return own + [every_part(field[0]) for field in (dtype.fields or {}).values()]


@pytest.mark.parametrize(
    "value",
    [
        np.array([1, "a", None], dtype=object),
        np.ma.masked_array([1, 2], [True, False]),
        np.zeros(2, [("a", "O")]),
        np.zeros(2, np.dtype("i4", metadata={"unit": "s"})),
        np.zeros(2, [(f"field{k:05}", "i4") for k in range(1000)]),
        np.zeros(2, [("é", "i4")]),
        np.zeros(2, "V0"),
        np.float32(1.5),
        np.datetime64("2020-01-01"),
        np.random.default_rng(0),
    ],
    ids=lambda v: type(v).__name__,
)
def test_other_numpy_value_is_pickled(value: Any) -> None:
    back = there_and_back(value)

    assert encode("x", value, {}).ref.codec == "pickle"
    assert type(back) is type(value)
    if isinstance(value, np.ndarray):
        assert back.dtype == value.dtype
        assert back.dtype.metadata == value.dtype.metadata
        assert back.tolist() == value.tolist()
    elif isinstance(value, np.generic):
        assert back == value


def test_numpy_strings_of_any_length_come_back() -> None:
    array = np.array(["a", "bcd" * 50], np.dtypes.StringDType())
    assert there_and_back(array).tolist() == array.tolist()

"""Sparse matrices and arrays of every format come back in their own class, as HDF5."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import blosc2
import h5py
import hdf5plugin
import numpy as np
import pytest
import scipy.sparse
import tables
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelext.errors import ValueCodecError
from kernelext.values import decode, encode, hdf5, identity, sparse, stored

from .trips import joined, there_and_back

FORMATS = ["csr", "csc", "coo", "bsr", "dia", "lil", "dok"]
DTYPES = ["?", "i1", "u2", "i8", "f4", "f8", "c8", "c16", "g"]
assert hdf5plugin.BLOSC2_ID  # what h5py needs to read the chunks


def same(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    assert one.shape == other.shape
    assert one.dtype == other.dtype
    (_, found), (_, expected) = sparse.take_apart(one), sparse.take_apart(other)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        assert found[name].tobytes() == array.tobytes()


@st.composite
def matrices(draw: st.DrawFn) -> Any:
    rows, columns = draw(st.integers(0, 7)), draw(st.integers(0, 7))
    seed, density = draw(st.integers(0, 99)), draw(st.sampled_from([0, 0.3, 1]))
    rng = np.random.default_rng(seed)
    dense = rng.poisson(3, (rows, columns)) * (rng.random((rows, columns)) < density)
    kind = draw(st.sampled_from(["matrix", "array"]))
    form = draw(st.sampled_from(FORMATS if rows and columns else ["csr", "csc", "coo"]))
    made = getattr(scipy.sparse, f"{form}_{kind}")
    # Long doubles of these are pickled.
    dtypes = [name for name in DTYPES if name != "g" or form not in ("lil", "dok")]
    return made(dense.astype(draw(st.sampled_from(dtypes))))


@settings(max_examples=80, deadline=None)
@given(matrices(), st.sampled_from([None, ("numpy", "scipy")]))
def test_any_sparse_value_comes_back(value: Any, abilities: Any) -> None:
    back = there_and_back(value, abilities=abilities)

    same(back, value)
    assert identity("x", back, {}) == identity("x", value, {})
    if value.nnz:
        changed = value.tocoo(copy=True)
        changed.data = changed.data[::-1] + changed.data.dtype.type(1)
        changed = changed.asformat(value.format)
        if (changed != value).nnz:
            assert identity("x", changed, {}) != identity("x", value, {})


@pytest.mark.parametrize("form", ["lil", "dok"])
def test_long_doubles_that_would_be_rebuilt_are_pickled(form: str) -> None:
    value = scipy.sparse.eye_array(40, dtype=np.longdouble, format=form) / 3
    value = value.asformat(form)
    back = there_and_back(value)

    assert encode("x", value, {}).ref.codec == "pickle"
    assert type(back) is type(value)
    assert (back != value).nnz == 0
    assert len({identity("x", value, {}) for _ in range(20)}) == 1


@pytest.mark.parametrize("index", ["i4", "i8"])
def test_indices_keep_their_width(index: str) -> None:
    value = scipy.sparse.random_array((50, 40), density=0.2, format="csr", rng=0)
    value.indices, value.indptr = value.indices.astype(index), value.indptr.astype(index)
    back = there_and_back(value)

    assert (back.indices.dtype, back.indptr.dtype) == (index, index)
    same(back, value)


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4)])
def test_other_dimensions_come_back(shape: tuple[int, ...]) -> None:
    value = scipy.sparse.coo_array(np.arange(np.prod(shape)).reshape(shape))
    same(there_and_back(value), value)
    if len(shape) == 1:
        for form in ("csr", "dok"):
            same(there_and_back(value.asformat(form)), value.asformat(form))


def test_unsorted_and_doubled_entries_stay() -> None:
    data, rows, columns = [1.0, 2.0, 3.0], [1, 0, 1], [2, 2, 2]
    for form in ("coo", "csr"):
        value = scipy.sparse.coo_matrix((data, (rows, columns)), shape=(3, 3))
        value = value if form == "coo" else scipy.sparse.csr_matrix(
            (data, [2, 0, 2], [0, 2, 3, 3]), shape=(3, 3)
        )  # fmt: skip
        same(there_and_back(value), value)


def test_file_opens_with_pytables_and_h5py_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    value = scipy.sparse.random_array((30_000, 500), density=0.02, format="csr", rng=rng)
    value.data[:] = rng.poisson(2, value.nnz)
    encoded = encode("x", value, {})
    path = tmp_path / "x.h5"
    path.write_bytes(joined(encoded))

    assert encoded.ref.codec == "hdf5"
    assert encoded.ref.stored_bytes < 0.4 * encoded.ref.size_bytes
    with tables.open_file(path) as file, h5py.File(path) as other:
        for name in ("data", "indices", "indptr"):
            array = getattr(value, name)
            assert np.array_equal(file.get_node("/", name)[:], array)
            assert np.array_equal(other[name][:], array)


def test_image_without_pytables_gets_npz(tmp_path: Path) -> None:
    value = scipy.sparse.eye_array(5, format="csc")
    encoded = encode("x", value, {}, abilities=("numpy", "scipy"))
    (tmp_path / "x.npz").write_bytes(joined(encoded))

    assert (encoded.ref.codec, encoded.lacking) == ("npz", ("tables",))
    with np.load(tmp_path / "x.npz") as file:
        assert np.array_equal(file["indptr"], value.indptr)


def test_same_matrix_gives_the_same_bytes() -> None:
    value = scipy.sparse.eye_array(5_000, format="csr")
    first = joined(encode("x", value, {}))
    began = int(time.time())
    while int(time.time()) == began:  # HDF5 can write the time, in seconds
        again = joined(encode("x", value, {}))
    assert joined(encode("x", value, {})) == again == first


def test_chunks_are_whole_over_their_end() -> None:
    rng = np.random.default_rng(0)
    found = {"data": rng.poisson(2, hdf5.CHUNK_BYTES // 8 + 5).astype("i8")}
    _, back = hdf5.read(hdf5.write({}, found))
    assert np.array_equal(back["data"], found["data"])


@pytest.mark.parametrize("form", ["csr", "coo", "dia"])
def test_index_out_of_bounds_is_refused(form: str) -> None:
    value = scipy.sparse.random_array((9, 9), density=0.5, format=form, rng=0)
    header, found = sparse.take_apart(value)
    if form == "csr":
        found["indices"][3] = 1_000_000_000
    elif form == "coo":
        found["row"][3] = -1
    else:
        found["offsets"] = found["offsets"][:-1]
    data = hdf5.write(header, found)
    ref = dataclasses.replace(encode("x", value, {}).ref, chunks=stored.cut([data])[0])
    with pytest.raises(ValueCodecError, match=r"`x` .* cannot be read back"):
        decode(ref, data, {})


def test_attribute_of_the_users_is_not_lost() -> None:
    value = scipy.sparse.eye_array(3, format="csr")
    value.unit = "kg"
    assert there_and_back(value).unit == "kg"


def test_blosc2_is_the_filter() -> None:
    value = scipy.sparse.eye_array(50_000, format="csr")
    data = joined(encode("x", value, {}))
    with tables.open_file(
        "x", driver="H5FD_CORE", driver_core_image=data, driver_core_backing_store=0
    ) as file:
        node = file.root.indices
        assert node.filters.complib == "blosc2:zstd"
        assert blosc2.schunk_from_cframe(node.read_chunk((0,))).typesize == 4

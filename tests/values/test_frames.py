"""Arrays of any shape as frames: what blosc2 alone reads, and the digests of their bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import blosc2
import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernelext.values import arrays, blosc, frames

STRETCH_BYTES = 200  # of a few bytes, so that small arrays are cut as large ones are


@pytest.fixture(scope="module", autouse=True)
def _small_pieces() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frames, "BLOCK_BYTES", 64)
        patch.setattr(frames, "PART_BYTES", 150)
        patch.setattr(frames, "CHUNK_BYTES", STRETCH_BYTES)
        yield


@settings(max_examples=300, deadline=None)
@given(
    npst.array_shapes(min_dims=1, max_dims=8, max_side=40).filter(lambda s: np.prod(s) < 3_000),
    st.sampled_from(["u1", "i2", "f4", "f8", "c16", "?"]),
    st.sampled_from("CF"),
    st.sampled_from(["SHUFFLE", "BITSHUFFLE"]),
    st.integers(0, 99),
)
def test_array_of_any_shape(
    shape: tuple[int, ...], dtype: str, order: str, filter_name: str, seed: int
) -> None:
    values = np.random.default_rng(seed).integers(0, 99, shape)
    array = np.asarray(values.astype(dtype), order=order)  # type: ignore[call-overload]
    kept, flat = arrays.raw(array)

    frame, digests = frames.write(array, kept, flat, filter_name)

    back = np.asarray(blosc2.ndarray_from_cframe(frame)[...])
    raw = flat.tobytes()
    stretches = [raw[at : at + STRETCH_BYTES] for at in range(0, len(raw), STRETCH_BYTES)]
    assert (back.T if kept == "F" else back).tobytes() == array.tobytes()
    assert digests == [hashlib.sha256(each).hexdigest() for each in stretches]
    assert blosc.choose_filter(flat, array.itemsize) in ("SHUFFLE", "BITSHUFFLE", None)


@pytest.mark.parametrize(
    ("shape", "chunk_shape", "block_shape"),
    [
        ((100,), (16,), (8,)),
        ((50, 2), (8, 2), (4, 2)),
        ((3, 9), (1, 10), (1, 5)),  # a row is one chunk of two blocks
        ((2, 3, 2, 3), (1, 3, 2, 3), (1, 1, 2, 3)),
    ],
)
def test_chunks_are_stretches_of_the_array(
    shape: tuple[int, ...], chunk_shape: tuple[int, ...], block_shape: tuple[int, ...]
) -> None:
    layout = frames.layout_of(shape, 8)
    assert (layout.chunk_shape, layout.block_shape) == (chunk_shape, block_shape)

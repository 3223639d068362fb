"""Long doubles travel among processors that lay them out alike, and are refused elsewhere."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from kernelext.errors import ValueCodecError
from kernelext.values import decode, dtypes, encode, identity, stored

from .trips import joined, there_and_back

THIRDS = np.array([1, np.nan, -2], np.longdouble) / 3
FIELD = np.zeros(2, [("n", "i4"), ("inner", [("x", np.longdouble, (2,))])])
ALIGNED = np.zeros(2, np.dtype([("n", "i1"), ("x", np.longdouble)], align=True))
ARRAYS: dict[str, Any] = {
    "real": THIRDS,
    "complex": THIRDS * 1j,
    "Fortran": np.asfortranarray(np.ones((300, 2), np.longdouble)),
    "other byte order": THIRDS.astype(THIRDS.dtype.newbyteorder()),
    "field": FIELD,
}
FILES: dict[str, Any] = {
    "scalar": THIRDS[0],
    "list": [THIRDS, np.ones(90_000, np.longdouble)],
    "aligned": ALIGNED,
    "objects": np.array([THIRDS], object),
    "masked": np.ma.masked_array(THIRDS, [True, False, False]),
    "frame": pd.DataFrame({"x": THIRDS}),
    "sparse": scipy.sparse.csr_array(np.eye(3, dtype=np.longdouble)),
    "complex sparse": scipy.sparse.coo_array(np.eye(3, dtype=np.clongdouble)),
}
OTHER = dtypes.layout().replace(dtypes.layout()[0], "9", 1)
SENTENCE = rf"^`x` holds long doubles with a {OTHER}, and .* {dtypes.layout()}: make them float64"


@pytest.mark.parametrize("name", [*ARRAYS, *FILES])
def test_long_doubles_come_back_on_such_a_processor(name: str) -> None:
    value = {**ARRAYS, **FILES}[name]
    back = there_and_back(value)

    assert type(back) is type(value)
    assert (repr(back), str(back)) == (repr(value), str(value))
    if hasattr(value, "dtype"):
        assert back.dtype == value.dtype


@pytest.mark.parametrize("name", ARRAYS)
def test_array_of_another_processor_is_refused(name: str) -> None:
    made = encode("x", ARRAYS[name], {})
    assert made.ref.codec == "npy"
    assert made.ref.dtype is not None
    other = dataclasses.replace(made.ref, dtype=made.ref.dtype.replace(dtypes.layout(), OTHER))
    with pytest.raises(ValueCodecError, match=SENTENCE):
        decode(other, joined(made), {})


def of_another_processor(data: bytes) -> bytes:
    """Return a file, perhaps a zip of files, with another layout in it."""
    if not data.startswith(b"PK"):
        return data.replace(dtypes.layout().encode(), OTHER.encode())
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(packed, "w") as new:
        for name in old.namelist():
            content = old.read(name).replace(dtypes.layout().encode(), OTHER.encode())
            new.writestr(name, content)
    return packed.getvalue()


@pytest.mark.parametrize("name", FILES)
def test_file_of_another_processor_is_refused(name: str) -> None:
    made = encode("x", FILES[name], {}, abilities=["numpy", "pandas", "scipy"])
    other = of_another_processor(joined(made))
    ref = dataclasses.replace(made.ref, chunks=stored.cut([other])[0])
    with pytest.raises(ValueCodecError, match=SENTENCE):
        decode(ref, other, {})


def test_array_whose_layout_nobody_wrote_down_is_read() -> None:
    made = encode("x", THIRDS, {})
    ref = dataclasses.replace(made.ref, dtype=str(THIRDS.dtype))
    assert decode(ref, joined(made), {}).tobytes() == THIRDS.tobytes()


def test_identity_of_other_dtypes_is_as_it_was() -> None:
    zeros = np.zeros((2, 3), [("a", "<i4"), ("b", ">f8", (2,))])
    digests = [identity("x", array, {})[:16] for array in (np.arange(6.0), zeros)]
    assert digests == ["579d2022d1a43f70", "399cfdee98b2ed2e"]

"""Bytes from whoever may run no code here: nothing that they choose is executed."""

from __future__ import annotations

import dataclasses
import pickle
import sys
from pathlib import Path
from typing import Any

import blosc2
import msgpack
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from kernelext.errors import PickleKept, ValueCodecError
from kernelext.models import ValueRef
from kernelext.values import Encoded, decode, encode, stored

from .test_decode import BOTH, VALUES, encoded
from .trips import joined


class Trap:
    """Makes a file where it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


def mistrusted(ref: ValueRef, data: bytes) -> Any:
    return decode(ref, data, {}, loads_pickles=False)


def vouched(codec: str, data: bytes, **changes: Any) -> ValueRef:
    """Return a manifest that a host could write for any bytes."""
    made = encoded("npy").ref
    return dataclasses.replace(made, codec=codec, chunks=stored.cut([data])[0], **changes)


@pytest.mark.parametrize("codec", ["json", "npy", "blosc2"])
def test_what_holds_no_code_is_read(codec: str) -> None:
    made = encoded(codec)
    found = mistrusted(made.ref, joined(made))
    np.testing.assert_equal(found, VALUES[codec])


@pytest.mark.parametrize("value", [object, np.array([{}], dtype=object), Path(), lambda: 1])
def test_what_is_a_pickle_is_not(value: Any) -> None:
    made: Encoded = encode("x", value, {}, abilities=BOTH)
    with pytest.raises(PickleKept, match="`x`"):
        mistrusted(made.ref, joined(made))


@pytest.mark.parametrize("codec", ["json", "npy", "blosc2", "pickle", "module", "tomorrow"])
def test_pickle_is_not_loaded_under_any_name(codec: str, tmp_path: Path) -> None:
    data = pickle.dumps(Trap(tmp_path / "touched"))
    with pytest.raises((ValueCodecError, ImportError)):
        mistrusted(vouched(codec, data), data)
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("descr", ["'|O'", "[('a', '|O'), ('b', '<i8')]"])
def test_npy_of_objects_is_not_read(descr: str, tmp_path: Path) -> None:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': (1,), }}".ljust(117) + "\n"
    trap = pickle.dumps(np.array([Trap(tmp_path / "touched")], dtype=object))
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + trap
    with pytest.raises(ValueCodecError):
        mistrusted(vouched("npy", data, shape=(1,), dtype="object"), data)
    assert not (tmp_path / "touched").exists()


TABLES = {
    "pandas": pd.DataFrame({"n": [1, 2], "s": ["a", None]}),
    "pyarrow": pa.table({"n": [1, 2], "s": ["a", None]}),
    "polars": pl.DataFrame({"n": [1, 2], "s": ["a", None]}),
}


@pytest.mark.parametrize("library", TABLES)
def test_table_is_read(library: str) -> None:
    made = encode("x", TABLES[library], {})
    assert made.ref.codec in ("arrow", "polars")
    assert mistrusted(made.ref, joined(made)).equals(TABLES[library])


class Loading(pa.ExtensionType):  # type: ignore[misc]
    """Unpickles what the file says of its type, as those of some libraries do."""

    def __init__(self) -> None:
        super().__init__(pa.int64(), "tests.loading")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage: Any, data: bytes) -> Any:
        pickle.loads(data).close()
        return cls()


@pytest.mark.parametrize("codec", ["arrow", "polars"])
def test_extension_type_of_a_table_is_not_built(codec: str, tmp_path: Path) -> None:
    trap = pickle.dumps(Trap(tmp_path / "touched"))
    of_type = {"ARROW:extension:name": "tests.loading", "ARROW:extension:metadata": trap}
    schema = pa.schema([pa.field("n", pa.int64(), metadata=of_type)], {"kernelext": "{}"})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(pa.table([[1]], schema))
    data = sink.getvalue().to_pybytes()
    pa.register_extension_type(Loading())
    try:
        with pytest.raises(PickleKept, match="extension types"):
            mistrusted(vouched(codec, data), data)
        assert not (tmp_path / "touched").exists()
        if codec == "arrow":  # it is a trap indeed
            with pytest.raises(ValueCodecError):
                decode(vouched(codec, data), data, {})
            assert (tmp_path / "touched").exists()
    finally:
        pa.unregister_extension_type("tests.loading")


def test_offsets_of_a_table_that_leave_the_file_are_refused() -> None:
    offsets = np.array([0, 2**30, 3], "i4")
    text = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(offsets), pa.py_buffer(b"abc")]
    )
    sink = pa.BufferOutputStream()
    schema = pa.schema([("s", pa.string())], {"kernelext": '{"kind":"Table"}'})
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(pa.Table.from_arrays([text], schema=schema))
    data = sink.getvalue().to_pybytes()
    with pytest.raises(ValueCodecError, match="offset"):
        mistrusted(vouched("arrow", data), data)


@pytest.mark.parametrize("value", [[1], {"y": 1}])
def test_member_that_its_file_lacks_is_refused(value: Any) -> None:
    made = encode("x", value, {})
    with pytest.raises(ValueCodecError, match="`x` is not in its file"):
        mistrusted(dataclasses.replace(made.ref, is_member=True), joined(made))


def test_metalayer_of_a_frame_is_not_rebuilt_into_objects() -> None:
    source = "def kernel(x):\n    return x"
    code = {"kind": "lazyudf", "version": 1, "name": "kernel", "udf_source": source}
    hostile = msgpack.ExtType(43, msgpack.packb(code))
    array = np.arange(6.0).reshape(2, 3)
    data = bytes(blosc2.asarray(array, meta={"kernelext": hostile}).to_cframe())
    ref = vouched("blosc2", data, shape=(2, 3), dtype="float64")
    assert mistrusted(ref, data).tolist() == array.tolist()


def test_module_is_taken_only_where_it_is_imported() -> None:
    made = encoded("module")
    assert mistrusted(made.ref, joined(made)) is sys
    sys.modules.pop("this", None)
    with pytest.raises(ImportError, match="`import this` does it"):
        mistrusted(vouched("module", b"this"), b"this")
    assert "this" not in sys.modules

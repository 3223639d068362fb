"""Ways to put a value into a file and to read it back, each with its best-known flags."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import blosc2
import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import scipy.sparse
import zarr
from pyarrow import feather

from kernelext.models import ValueRef
from kernelext.values import decode, encode, own_abilities
from kernelext.values.forms import form_of


@dataclass(frozen=True)
class Saver:
    """One format.

    Attributes
    ----------
    flags : str
        What it was told.
    save : callable
        Takes the value and the path; returns when the bytes are on the disk.
    load : callable
        Takes the path.
    """

    flags: str
    save: Callable[[Any, Path], None]
    load: Callable[[Path], Any]


def _flush(path: Path) -> None:
    paths = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    for each in paths:
        with each.open("rb") as file:
            os.fsync(file.fileno())


def _flushed(save: Callable[[Any, Path], object]) -> Callable[[Any, Path], None]:
    def save_and_flush(value: Any, path: Path) -> None:
        save(value, path)
        _flush(path)

    return save_and_flush


REFS: dict[Path, ValueRef] = {}


def _save_ours(value: Any, path: Path) -> None:
    encoded = encode("x", value, {})
    with path.open("wb") as file:
        for part in encoded.parts:
            file.write(part)
    REFS[path] = encoded.ref


def _save_without_digest(value: Any, path: Path) -> None:
    stored = form_of("x", value, {}).store(own_abilities())
    with path.open("wb") as file:
        for buffer in stored.buffers:
            file.write(buffer)


def _load_ours(path: Path) -> Any:
    return decode(REFS[path], path, {})


def _save_numpy(value: Any, path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, value)


def _save_numpy_compressed(value: Any, path: Path) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, value)


def _load_numpy_compressed(path: Path) -> Any:
    with np.load(path) as file:
        return file["arr_0"]


def _save_pickle(value: Any, path: Path) -> None:
    with path.open("wb") as file:
        pickle.dump(value, file, protocol=5)


def _load_pickle(path: Path) -> Any:
    with path.open("rb") as file:
        return pickle.load(file)


def _save_feather(value: Any, path: Path) -> None:
    frame = value
    if isinstance(value, np.ndarray):
        columns = value.reshape(len(value), -1).T
        frame = pa.table({str(k): column for k, column in enumerate(columns)})
    feather.write_feather(frame, str(path), compression="zstd", compression_level=1)


def _save_blosc2(value: Any, path: Path) -> None:
    path.unlink(missing_ok=True)
    cparams = blosc2.CParams(
        codec=blosc2.Codec.ZSTD,
        clevel=1,
        filters=[blosc2.Filter.BITSHUFFLE],
        nthreads=os.cpu_count() or 1,
    )
    blosc2.asarray(value, urlpath=str(path), mode="w", cparams=cparams)


def _save_zarr(value: Any, path: Path) -> None:
    codec = zarr.codecs.BloscCodec(cname="zstd", clevel=1, shuffle="bitshuffle")
    rows = max(1, 2**24 // (value.nbytes // len(value)))
    made = zarr.create_array(
        str(path),
        shape=value.shape,
        dtype=value.dtype,
        chunks=(min(rows, len(value)), *value.shape[1:]),
        compressors=[codec],
        overwrite=True,
    )
    made[:] = value


def _save_npz(value: Any, path: Path) -> None:
    with path.open("wb") as file:
        scipy.sparse.save_npz(file, value, compressed=True)


OURS = Saver("as cells do: digests included", _flushed(_save_ours), _load_ours)
WITHOUT_DIGEST = Saver("no digests", _flushed(_save_without_digest), np.load)
PEERS = {
    "np.save": Saver("none", _flushed(_save_numpy), np.load),
    "np.savez_compressed": Saver(
        "deflate 6", _flushed(_save_numpy_compressed), _load_numpy_compressed
    ),
    "pickle": Saver("protocol 5", _flushed(_save_pickle), _load_pickle),
    "joblib": Saver(
        "compress=('lz4', 1)",
        _flushed(lambda value, path: joblib.dump(value, path, compress=("lz4", 1))),
        joblib.load,
    ),
    "feather": Saver("zstd 1", _flushed(_save_feather), pd.read_feather),
    "blosc2": Saver(
        "zstd 1, bitshuffle, all cores",
        _flushed(_save_blosc2),
        lambda path: blosc2.open(str(path))[...],
    ),
    "zarr": Saver(
        "blosc zstd 1, bitshuffle, chunks of 16 MB",
        _flushed(_save_zarr),
        lambda path: zarr.open_array(str(path), mode="r")[...],
    ),
    "save_npz": Saver("deflate 6", _flushed(_save_npz), scipy.sparse.load_npz),
}

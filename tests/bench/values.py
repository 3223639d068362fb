"""Saving and loading values beside the usual formats, every save flushed to the disk."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

from kernelext.values import identity

from .report import Row, Section
from .savers import OURS, PEERS, WITHOUT_DIGEST, Saver
from .scene import Scene
from .timing import Sample, seconds, take_turns

ROUNDS = 3
SCALE = float(os.environ.get("KERNELEXT_BENCH_SCALE", "1"))  # of the rows that memory is asked for
FASTER_THAN_NP_SAVE = 1.0
RAW_LIMIT = 1.3  # of np.save, without the digest, where nothing compresses
SMALL_ENOUGH = 1.1  # of the smallest peer that takes no more than twice our time
PATIENCE = 2.0
NO_DIGEST = "kernelext without the digest"


@dataclass(frozen=True)
class Case:
    """One value to save: how it is made and which peers can."""

    title: str
    make: Callable[[], Any]
    peers: tuple[str, ...]
    compresses: bool = True


def n_rows(full: float) -> int:
    """Return a number of rows, scaled to this machine."""
    return int(full * SCALE)


def random_floats() -> Any:
    return np.random.default_rng(0).random((n_rows(1e6), 30))


def counts() -> Any:
    return np.random.default_rng(0).poisson(2, (n_rows(1e6), 30)).astype("f8")


def column() -> Any:
    return np.random.default_rng(0).integers(0, 12, n_rows(2e7))


def frame() -> Any:
    rng = np.random.default_rng(0)
    rows = n_rows(1e6)
    return pd.DataFrame(
        {
            "id": np.arange(rows),
            "price": np.round(rng.lognormal(3, 1, rows), 2),
            "noise": rng.normal(size=rows),
            "n": rng.poisson(3, rows),
            "city": pd.Categorical.from_codes(rng.integers(0, 9, rows), list("abcdefghi")),
            "word": rng.choice([f"word{k}" for k in range(5_000)], rows),
            "at": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 10**7, rows), "s"),
        }
    )


def sparse() -> Any:
    rng = np.random.default_rng(0)
    found = scipy.sparse.random_array((n_rows(1e6), 5_000), density=0.004, format="csr", rng=rng)
    found.data[:] = rng.poisson(2, found.nnz) + 1
    return found


DENSE = ("np.save", "np.savez_compressed", "pickle", "joblib", "blosc2", "zarr")
CASES = (
    Case("random numbers, 1/10 of (1e7, 30)", random_floats, (*DENSE, "feather"), compresses=False),
    Case("counts as float64, 1/10 of (1e7, 30)", counts, (*DENSE, "feather")),
    Case("one column of 2e7 integers, 12 values", column, (*DENSE, "feather")),
    Case("a mixed frame of 1e6 rows", frame, ("feather", "pickle", "joblib")),
    Case("a sparse matrix, 2e7 entries", sparse, ("save_npz", "pickle", "joblib")),
)


def measure(scene: Scene) -> list[Section]:
    """Save and load every case by all that can."""
    folder = Path(tempfile.mkdtemp(dir=scene.folder))
    try:
        return [*(_case(case, folder) for case in CASES), _hashing()]
    finally:
        shutil.rmtree(folder)


def _case(case: Case, folder: Path) -> Section:
    value = case.make()
    savers: dict[str, Saver] = {"kernelext": OURS, **{name: PEERS[name] for name in case.peers}}
    if not case.compresses:
        savers[NO_DIGEST] = WITHOUT_DIGEST
    paths = {name: folder / f"{k}" for k, name in enumerate(savers)}
    saves = {n: (lambda s=s, p=paths[n]: s.save(value, p)) for n, s in savers.items()}
    loads = {n: (lambda s=s, p=paths[n]: s.load(p)) for n, s in savers.items()}
    saved = take_turns(ROUNDS, saves, os.sync)
    loaded = take_turns(ROUNDS, loads, lambda: None)
    sizes = {name: _size(path) for name, path in paths.items()}
    rows = []
    for name, saver in savers.items():
        rows.append(Row(f"{name}: save", saved[name], "s", saver.flags))
        rows.append(Row(f"{name}: load", loaded[name], "s"))
        rows.append(Row(f"{name}: size", Sample((float(sizes[name]),)), "bytes"))
    rows += _verdicts(case, saved, sizes)
    for path in paths.values():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return Section(f"9. Saving {case.title}", rows)


def _verdicts(case: Case, saved: dict[str, Sample], sizes: dict[str, int]) -> list[Row]:
    rows = []
    ours = saved["kernelext"]
    if case.compresses:
        rivals = [n for n in case.peers if saved[n].median <= PATIENCE * ours.median]
        if rivals:
            best = min(rivals, key=sizes.__getitem__)
            ratio = Sample((sizes["kernelext"] / sizes[best],))
            note = f"{best} is the smallest of those that save in twice our time"
            rows.append(Row("size, of the best peer's", ratio, "x", note, SMALL_ENOUGH))
        if "np.save" in saved:
            ratio = ours.per(saved["np.save"])
            rows.append(Row("save, of np.save", ratio, "x", "", FASTER_THAN_NP_SAVE))
    else:
        ratio = saved[NO_DIGEST].per(saved["np.save"])
        rows.append(Row("save without the digest, of np.save", ratio, "x", "", RAW_LIMIT))
    return rows


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())


def _hashing() -> Section:
    """Time what every use of an array costs: its identity."""
    array = np.random.default_rng(0).random(n_rows(3e7))
    sample = Sample(tuple(seconds(lambda: identity("x", array, {})) for _ in range(5)))
    rate = array.nbytes / sample.median / 1e9
    return Section(
        "10. The identity of an array, at every use",
        [Row(f"{array.nbytes / 1e6:.0f} MB", sample, "ms", f"{rate:.2f} GB/s")],
    )

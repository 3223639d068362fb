"""Round trips that the tests of this room share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from kernelext.models import CHUNK_BYTES, ValueRef, to_json
from kernelext.values import Encoded, decode, encode

ROOT = Path(__file__).parents[2]

OTHER_SIDE = """
import json, sys, __main__
from kernelext.models import ValueRef, to_json
from kernelext.values import decode, encode
folder, cell = sys.argv[1:]
refs = json.load(open(folder + "/refs"))
space = {"__name__": "__main__", **dict(json.load(open(folder + "/plain")))}
__main__.__dict__.update(space)
space = __main__.__dict__
for ref in map(ValueRef.from_json, refs):
    space[ref.name] = decode(ref, folder + "/" + ref.name, space)
exec(cell, space)
out = encode("out", space["out"], space)
open(folder + "/out", "wb").write(b"".join(out.parts))
json.dump(to_json(out.ref), open(folder + "/out.ref", "w"))
"""


def new_namespace(code: str = "", **values: Any) -> dict[str, Any]:
    """Return the globals of a notebook in which some code ran."""
    namespace: dict[str, Any] = {"__name__": "__main__", **values}
    exec(compile(code, "<cell>", "exec", dont_inherit=True), namespace)
    return namespace


def joined(encoded: Encoded) -> bytes:
    """Return the bytes of the one file that the chunks make."""
    sizes = [len(part) for part in encoded.parts]
    assert sizes == [chunk.size_bytes for chunk in encoded.ref.chunks]
    assert max(sizes) <= CHUNK_BYTES
    return b"".join(encoded.parts)


def there_and_back(value: Any, namespace: dict[str, Any] | None = None, **options: Any) -> Any:
    """Return what a value is after a round trip over the JSON form of its manifest."""
    namespace = new_namespace() if namespace is None else namespace
    encoded = encode("x", value, namespace, **options)
    ref = ValueRef.from_json(json.loads(json.dumps(to_json(encoded.ref))))
    assert ref == encoded.ref
    return decode(ref, joined(encoded), namespace)


def elsewhere(folder: Path, cell: str, namespace: dict[str, Any], names: str, **plain: Any) -> Any:
    """Run a cell in another interpreter on the named variables; return what it calls `out`."""
    refs = []
    for name in names.split():
        encoded = encode(name, namespace[name], namespace)
        (folder / name).write_bytes(joined(encoded))
        refs.append(to_json(encoded.ref))
    (folder / "refs").write_text(json.dumps(refs))
    (folder / "plain").write_text(json.dumps(plain))
    subprocess.run(
        [sys.executable, "-c", OTHER_SIDE, str(folder), cell],
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=folder,
        timeout=60,
    )
    ref = ValueRef.from_json(json.loads((folder / "out.ref").read_text()))
    return decode(ref, folder / "out", namespace)

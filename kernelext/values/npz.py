"""Named arrays as an .npz file: what needs numpy alone."""

from __future__ import annotations

import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kernelext.values.arrays import Array
    from kernelext.values.stored import Buffer

HEADER = "kernelext.json"
DATE = (1980, 1, 1, 0, 0, 0)  # the same bytes for the same arrays


def write(header: dict[str, Any], found: dict[str, Array]) -> bytes:
    """Return the file."""
    import numpy as np

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(zipfile.ZipInfo(HEADER, DATE), json.dumps(header))
        for name, array in found.items():
            member = zipfile.ZipInfo(f"{name}.npy", DATE)
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return packed.getvalue()


def read(data: Buffer) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read what `write` wrote.

    Raises
    ------
    ValueError, KeyError, BadZipFile
        The bytes are damaged.
    """
    import numpy as np

    found = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        header = json.loads(archive.read(HEADER))
        for name in archive.namelist():
            if name != HEADER:
                with archive.open(name) as file:
                    array = np.lib.format.read_array(file, allow_pickle=False)
                found[name[: -len(".npy")]] = array
    return header, found

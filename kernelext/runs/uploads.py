"""How much one run may send: variables and files together."""

from __future__ import annotations

from collections.abc import Mapping

from kernelext.errors import BundleError
from kernelext.hosts.sizes import size_text

SHOWN = 6


def refuse_size(values: Mapping[str, int], files: Mapping[str, int], limit_bytes: int) -> None:
    """Raise when variables and files together are more than the limit.

    Parameters
    ----------
    values, files : mapping of str to int
        Bytes of each, by name and by path.

    Raises
    ------
    BundleError
        With the largest of both, and the fix.
    """
    total = sum(values.values()) + sum(files.values())
    if total <= limit_bytes:
        return
    sizes = [(size, "variable", name) for name, size in values.items()]
    sizes += [(size, "file", path) for path, size in files.items()]
    sizes.sort(reverse=True)
    largest = ", ".join(f"{kind} {name} ({size_text(size)})" for size, kind, name in sizes[:SHOWN])
    raise BundleError(
        f"nothing was sent: the variables and the project's files are {size_text(total)}, more"
        f" than upload_limit ({size_text(limit_bytes)}); the largest: {largest}. Send fewer"
        " variables with --in, name files that are not needed in .gitignore or .dockerignore,"
        " or raise upload_limit in your kernelext.toml"
    )

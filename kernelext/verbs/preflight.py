"""What is refused before anything moves: too much, and what looks like a secret."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from kernelext.bundle import Snapshot, secret_in, take_snapshot
from kernelext.errors import OptionError, ProjectTooLarge
from kernelext.hosts import FILE_NAME, config_path
from kernelext.runs import refuse_size
from kernelext.verbs.context import Context
from kernelext.verbs.valuesizes import sizes_bytes

LONGEST_SECRET = 64 * 1024
MOST_ITEMS = 1000


def take_project(
    context: Context,
    notebook: str | None,
    inputs: Mapping[str, object],
    limit_bytes: int,
    *,
    sends_files: bool = True,
) -> Snapshot | None:
    """Take the project's files, when they and the variables may travel.

    Parameters
    ----------
    notebook : str or None
        Its path; it stays at home.
    inputs : mapping of str to object
        The variables that are to travel.
    limit_bytes : int
        For variables and files together.
    sends_files : bool
        Whether the project's files are to travel at all.

    Returns
    -------
    Snapshot or None
        None where they are not, or the folder is no project: a home folder or a disk's root.

    Raises
    ------
    BundleError
        They are too large together, or files look like secrets.
    """
    values = sizes_bytes(inputs)
    values_bytes = sum(values.values())
    root = project_root(context) if sends_files else None
    if root is None:
        refuse_size(values, {}, limit_bytes)
        return None
    own = files_at_home(context, root, notebook)
    try:
        left_bytes = limit_bytes - values_bytes
        return take_snapshot(root, context.stat_cache, time.time_ns(), left_bytes, own)
    except ProjectTooLarge as exc:
        refuse_size(values, exc.sizes, limit_bytes)
        raise


def project_root(context: Context) -> Path | None:
    """Return the project's folder; a home folder or a disk's root is no project."""
    root = context.project.resolve()
    home = Path(context.environ.get("HOME", "/")).resolve()
    return None if root == home or root in home.parents else root


def files_at_home(context: Context, root: Path, notebook: str | None) -> list[Path]:
    """Return what stays of the project whatever its rules say.

    The notebook's file is saved again with every output, and no cell needs it; the user's own
    settings may hold secrets.
    """
    settings, private = root / FILE_NAME, config_path(context.environ).resolve()
    if settings.exists() and private.exists() and settings.samefile(private):
        private = settings  # by a link, perhaps
    return [private, *([Path(notebook).resolve()] if notebook else [])]


def refuse_secret_values(inputs: Mapping[str, object]) -> None:
    """Raise when variables hold a private key, or both halves of an AWS key.

    Raises
    ------
    OptionError
        With the way by which secrets travel.
    """
    texts = {name: b"\n".join(_texts(value)) for name, value in inputs.items()}
    whole = secret_in(b"\n".join(texts.values()))
    if whole is None:
        return
    names = [name for name, text in texts.items() if secret_in(text)] or [
        name for name, text in texts.items() if re.search(rb"\b(AKIA|ASIA)[A-Z2-7]{16}\b", text)
    ]
    raise OptionError(
        f"nothing was sent: {', '.join(names)} holds {whole}, and the values of variables are kept"
        " on the host's disk; put it into an environment variable and pass that with --env NAME"
        " (in the cell: os.environ), or name it in --in to send it all the same"
    )


def _texts(value: object, depth: int = 0) -> Iterator[bytes]:
    """Yield the texts of a variable and of small containers: secrets lie in settings."""
    if type(value) is str:
        if len(value) <= LONGEST_SECRET:
            yield value.encode("utf-8", "replace")
    elif type(value) is bytes:
        if len(value) <= LONGEST_SECRET:
            yield value
    elif depth < 2:
        items: list[object] = []
        if type(value) is dict and len(value) <= MOST_ITEMS:
            items = list(value.values())
        elif type(value) in (list, tuple) and len(value) <= MOST_ITEMS:  # type: ignore[arg-type]
            items = list(value)  # type: ignore[call-overload]
        for item in items:
            yield from _texts(item, depth + 1)

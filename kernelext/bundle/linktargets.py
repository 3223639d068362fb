"""Judges where symbolic links lead by the real paths there: a clone may hold any link."""

from __future__ import annotations

import os
from collections.abc import Container
from pathlib import Path

from kernelext.bundle.credentials import is_secret_path
from kernelext.bundle.ignore import never_travels
from kernelext.models import OUTPUT_FOLDERS

# git-annex and DataLad keep the content of the project's own files there, and links to it.
ANNEX = ".git/annex/objects/"


def leads_to_secret(real: str) -> bool:
    """Whether a file's real path is one under which people keep secrets, at any folder of it.

    Examples
    --------
    >>> [leads_to_secret(path) for path in ("/home/one/.kube/config", "/data/config")]
    [True, False]
    """
    return is_secret_path(real.replace(os.sep, "/").lstrip("/"))


def never_travels_from(root: str, real: str, *, is_dir: bool) -> bool:
    """Whether what lies outside the project at a real path never travels.

    Folders above both do not count: a project may lie in an environment.

    Examples
    --------
    >>> outside = ("/a/other/.git/config", "/a/other/words.txt")
    >>> [never_travels_from("/a/project", path, is_dir=False) for path in outside]
    [True, False]
    """
    parts = Path(os.path.relpath(real, root)).parts
    path = "/".join(part for part in parts if part != os.pardir)
    return bool(path) and f"/{ANNEX}" not in f"/{path}" and never_travels(path, is_dir=is_dir)


def file_travels(target: str, travelling: Container[str]) -> bool:
    """Whether a link may be sent as the project's file to which it leads.

    Examples
    --------
    >>> [file_travels(path, {"a.py"}) for path in ("a.py", ".git/config")]
    [True, False]
    """
    return target in travelling or target.startswith(ANNEX)


def folder_travels(target: str, entered: Container[str]) -> bool:
    """Whether a link to the project's folder may travel: a link, nothing of the folder.

    One into an output folder may in any case: rules often keep that at home, and cells make it.

    Examples
    --------
    >>> [folder_travels(path, {"runs"}) for path in (".", "runs", "data/output/one", ".git")]
    [True, True, True, False]
    """
    heads = tuple(f"{folder}/" for folder in OUTPUT_FOLDERS)
    return target == "." or target in entered or f"{target}/".startswith(heads)

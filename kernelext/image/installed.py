"""Where a distribution that is installed here was installed from, if from no index (PEP 610)."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from kernelext.image.lines import ARCHIVES, GIT, is_path
from kernelext.image.wanted import Local
from kernelext.recipe import normal_name


def local_of_installed(name: str) -> Local | None:
    """Return the folder, the file or the Git revision that a distribution is from.

    A file or a folder may be gone since (those that conda has built from always are): then the
    index's same version stands in.

    Parameters
    ----------
    name : str
        Of the distribution.

    Returns
    -------
    Local or None
        None where it is from an index, or not here.
    """
    try:
        distribution = importlib.metadata.distribution(name)
        found = json.loads(distribution.read_text("direct_url.json") or "{}")
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return None
    name = normal_name(name)
    place = _place(found)
    instead = f"{name}=={distribution.version}" if is_path(place) else ""
    return Local(place, name, instead=instead) if place else None


def _place(found: dict[str, Any]) -> str:
    """Return a place as `Local` has it; empty for none that is known."""
    url, below = str(found.get("url", "")), str(found.get("subdirectory", ""))
    if found.get("vcs_info", {}).get("vcs") == "git":
        fragment = f"#subdirectory={below}" if below else ""
        return f"{GIT}{url}@{found['vcs_info']['commit_id']}{fragment}"
    parts = urlsplit(url)
    if parts.scheme == "file":
        return str(Path(unquote(parts.path), below))
    is_source = parts.path.endswith(ARCHIVES) and not below
    return url if "archive_info" in found and is_source else ""

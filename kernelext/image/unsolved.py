"""What a user can do where there is no solution, beyond what uv says."""

from __future__ import annotations

import re

LOCAL = re.compile(r"no version of ([\w.-]+)==([\w.!]+)\+([\w.]+)")


def local_version_problem(source: str, said: str) -> str:
    """Return which version is of one index alone, where there is no solution for it; else nothing.

    Parameters
    ----------
    source : str
        Whose requirements they are.
    said : str
        By uv.

    Examples
    --------
    >>> local_version_problem("r.txt", "there is no version of torch==2.3.0+cpu")[:56]
    'r.txt cannot be resolved: no index that is asked has tor'
    """
    found = LOCAL.search(said)
    if not found:
        return ""
    name, public, build = found.groups()
    return (
        f"{source} cannot be resolved: no index that is asked has {name} {public}+{build}, a build"
        " of an index of its own; name that one (UV_INDEX=URL in the environment, or"
        " `--extra-index-url URL` in a requirements file that [image] names), or write"
        f" `{name}=={public}` in such a file for the public version"
    )

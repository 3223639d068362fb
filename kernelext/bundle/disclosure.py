"""Which files that look like secrets may travel: those that a rule allows by name."""

from __future__ import annotations

import fnmatch

from kernelext.bundle.credentials import SECRET_FOLDERS
from kernelext.bundle.ignore import IgnoreRules
from kernelext.errors import SecretsFound


def refuse_secrets(suspects: dict[str, str], rules: IgnoreRules) -> None:
    """Raise for files that look like secrets and are not allowed by name.

    Parameters
    ----------
    suspects : dict of str to str
        What each holds or links to; empty where only its name says so.
    rules : IgnoreRules

    Raises
    ------
    SecretsFound
    """
    found = {path: what for path, what in suspects.items() if not is_allowed(path, rules)}
    if found:
        raise SecretsFound(found, rules.file_name)


def is_allowed(path: str, rules: IgnoreRules) -> bool:
    """Whether a rule ``!name`` sends a file that looks like a secret.

    A rule that sends a whole folder does not count: it was not written for the secret.
    """
    line = rules.deciding_line(path) or ""
    named = line.strip().rstrip("/").rpartition("/")[2].removeprefix("!")
    if not line.startswith("!") or named.strip("*?") == "":
        return False
    *folders, name = path.split("/")
    return any(fnmatch.fnmatch(part, named) for part in (name, *SECRET_FOLDERS & {*folders}))

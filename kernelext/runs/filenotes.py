"""What a user has to know of the files that came home, or did not."""

from __future__ import annotations

import threading
from collections.abc import Sequence

SHOWN = 3  # names in a sentence; the others are counted


class FileNotes:
    """Gathers what happened to files, and says it in few sentences.

    Parameters
    ----------
    why_beside : str
        Why a file of the host was put beside one of the same name.
    """

    def __init__(self, why_beside: str = "Changed here while the cell ran") -> None:
        self._why_beside = why_beside
        self._lock = threading.Lock()
        self._left: dict[tuple[str, str], list[str]] = {}
        self._beside: list[tuple[str, str]] = []
        self._folds: dict[str, set[str]] = {}
        self._said: list[str] = []

    def leave(self, path: str, host: str, reason: str) -> None:
        """Note that a file has not come into the project."""
        with self._lock:
            self._left.setdefault((host, reason), []).append(path)

    def say(self, sentence: str) -> None:
        """Note something else."""
        with self._lock:
            self._said.append(sentence)

    def strand(self, path: str, staged: str, reason: str) -> None:
        """Note that a file came, but could not be put into the project."""
        self.say(f"{_shown(path)} came, but cannot be written here ({reason}); it lies in {staged}")

    def keep_beside(self, path: str, name: str) -> None:
        """Note that a file changed on both sides, and the name that the host's has now."""
        with self._lock:
            self._beside.append((path, name))

    def differ(self, path: str, folds: tuple[str, str]) -> None:
        """Note that two folds wrote a file, each its own."""
        with self._lock:
            self._folds.setdefault(path, set()).update(folds)

    def sentences(self) -> list[str]:
        """Say all of it."""
        with self._lock:
            said = []
            if self._beside:
                pairs = [
                    f"{_shown(path)} (the host's is {_shown(name)})" for path, name in self._beside
                ]
                said.append(
                    f"{self._why_beside}, so both are kept: {_some(pairs)};"
                    " compare them and remove one"
                )
            for path, folds in list(self._folds.items())[:SHOWN]:
                order = sorted(folds, key=int)
                first, name = order[0], _shown(path.rpartition("/")[2])
                said.append(
                    f"Folds {', '.join(order)} wrote different {_shown(path)}: fold {first}'s has"
                    f" that name, the others' are beside it as {name}.fold{order[1]} and so on;"
                    " put {fold} into the name to keep them apart"
                )
            if len(self._folds) > SHOWN:
                said.append(f"So did they with {len(self._folds) - SHOWN} more files")
            for (host, reason), paths in self._left.items():
                names = _some([_shown(path) for path in paths])
                said.append(f"{names} did not come home from {host}: {reason}")
            return said + self._said


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _shown(path: str) -> str:
    """Make a name printable: a host may have put anything into it."""
    text = path.encode("utf-8", "backslashreplace").decode()
    return text if text.isprintable() else ascii(text)[1:-1]

"""The packages that this machine has fetched, by their digests."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

from kernelext.bundle import file_chunks
from kernelext.errors import ImageBuildError
from kernelext.image.fetching import Stopped, fetch_file
from kernelext.image.logins import Logins, hide_logins
from kernelext.image.resolving import Pin
from kernelext.image.threads import begin, result
from kernelext.recipe import P

AT_ONCE = 8
TRIES = 4
PAUSE_S = 0.5
REFUSED = (401, 403)


class Wheelhouse:
    """A folder of wheels, or of packages of Debian or conda: ``DIGEST/FILE``.

    Parameters
    ----------
    folder : Path
        Made when first needed.
    environ : mapping of str to str
    lines : iterable of str
        Of requirements. Addresses in both may hold logins.
    """

    def __init__(
        self,
        folder: Path,
        environ: Mapping[str, str] | None = None,
        lines: Iterable[str] = (),
    ) -> None:
        self.folder = folder
        self._logins = Logins(environ or {}, lines)

    def path(self, pin: Pin) -> Path:
        """Return where a package lies or would lie."""
        return self.folder / pin.sha256 / pin.file_name

    def drop(self, before: float, *, dry_run: bool) -> int:
        """Remove what was not used since a time, in seconds since 1970; its bytes."""
        size_bytes = 0
        for folder in self.folder.glob("*"):
            found = [path.stat() for path in folder.iterdir()]
            if found and all(each.st_mtime < before for each in found):
                size_bytes += sum(each.st_size for each in found)
                if not dry_run:
                    shutil.rmtree(folder)
        return size_bytes

    def fetch(
        self,
        kind: type[P],
        pins: Iterable[Pin],
        say: Callable[[str], None],
        check: Callable[[], None] = lambda: None,
    ) -> list[P]:
        """Bring packages here, several at once, and say what they are.

        Parameters
        ----------
        kind : type
            Of package.
        pins : iterable of Pin
        say : callable
            Told what is being fetched.
        check : callable
            Raises when the user wants it to stop.

        Raises
        ------
        ImageBuildError
            One cannot be fetched, also when asked again, or is not what was resolved.
        """
        pins = list(pins)
        absent = [pin for pin in pins if not self._has(pin)]
        stop = threading.Event()
        partials = {pin: self._partial(pin) for pin in absent}
        works = [partial(self._fetch, pin, partials[pin], stop) for pin in absent]
        jobs = begin(works, AT_ONCE)
        try:
            for count, (pin, job) in enumerate(zip(absent, jobs, strict=True), 1):
                say(f"fetching {pin.name} {pin.version} ({count} of {len(jobs)})")
                result(job, check)
        finally:
            stop.set()
            for path in partials.values():
                with contextlib.suppress(OSError):  # held open where that holds: Windows
                    path.unlink(missing_ok=True)
        return [
            kind(pin.name, pin.version, pin.file_name, file_chunks(str(self.path(pin))))
            for pin in pins
        ]

    def _has(self, pin: Pin) -> bool:
        """Whether a wheel is here; its mtime says when it was last asked for."""
        try:
            os.utime(self.path(pin))
        except FileNotFoundError:
            return False
        return True

    def _partial(self, pin: Pin) -> Path:
        """Return where a package lies until it is whole."""
        return self.path(pin).with_name(f"{secrets.token_hex(4)}.new")

    def _fetch(self, pin: Pin, new: Path, stop: threading.Event) -> None:
        problem = ""
        try:
            for attempt in range(TRIES):
                if stop.wait(PAUSE_S * attempt):
                    return
                new.parent.mkdir(parents=True, exist_ok=True)
                try:
                    found = self._copy(pin, new, stop)
                except OSError as exc:  # the library's errors are such, too
                    problem = str(exc)
                    continue
                if found == pin.sha256:
                    new.replace(self.path(pin))
                    return
                problem = "what arrives is not what was resolved"
        except Stopped:
            return
        finally:
            new.unlink(missing_ok=True)
        raise ImageBuildError(
            f"{pin.name} {pin.version} cannot be fetched ({hide_logins(problem)[:200]}); build"
            " again when the package index can be reached: what has come is kept"
        )

    def _copy(self, pin: Pin, target: Path, stop: threading.Event) -> str:
        """Copy a package from its address; its SHA-256."""
        parts = urlsplit(pin.url)
        if parts.scheme == "file":
            shutil.copyfile(unquote(parts.path), target)
            with target.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        import requests  # a tenth of a second, which only a fetch has to wait

        try:
            return fetch_file(pin.url, target, stop, self._logins.of(pin.url))
        except requests.HTTPError as exc:
            answer = exc.response
            if answer.status_code not in REFUSED:
                raise
            said = f"{answer.status_code} {answer.reason}"
            raise ImageBuildError(_refusal(pin, said)) from exc


def _refusal(pin: Pin, said: str) -> str:
    host = urlsplit(pin.url).netloc.rpartition("@")[2]
    return (
        f"{pin.name} {pin.version} cannot be fetched: {host} says {said}; give it a login that it"
        f" knows, in the address (`https://USER:${{TOKEN}}@{host}/...` in requirements) or in"
        " ~/.netrc"
    )

"""The packages that this machine has fetched, by their digests."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from urllib.parse import unquote, urlsplit

from kernelext.bundle import file_chunks
from kernelext.errors import ImageBuildError
from kernelext.image.logins import Logins, hide_logins
from kernelext.image.resolving import Pin
from kernelext.recipe import P

AT_ONCE = 8
PIECE_BYTES = 256 * 1024
TRIES = 4
TIMEOUT_S = 30.0
PAUSE_S = 0.5
LOOK_S = 0.1
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
        pool = ThreadPoolExecutor(AT_ONCE)
        try:
            jobs = {pin: pool.submit(self._fetch, pin) for pin in absent}
            for count, (pin, job) in enumerate(jobs.items(), 1):
                say(f"fetching {pin.name} {pin.version} ({count} of {len(jobs)})")
                while wait([job], LOOK_S).not_done:
                    check()
                job.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # what is under way is of use later
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

    def _fetch(self, pin: Pin) -> None:
        target = self.path(pin)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{secrets.token_hex(4)}.new")
        problem = ""
        try:
            for attempt in range(TRIES):
                time.sleep(PAUSE_S * attempt)
                try:
                    found = self._copy(pin, partial)
                except OSError as exc:  # the library's errors are such, too
                    problem = str(exc)
                    continue
                if found == pin.sha256:
                    partial.replace(target)
                    return
                problem = "what arrives is not what was resolved"
        finally:
            partial.unlink(missing_ok=True)
        raise ImageBuildError(
            f"{pin.name} {pin.version} cannot be fetched ({hide_logins(problem)[:200]}); build"
            " again when the package index can be reached: what has come is kept"
        )

    def _copy(self, pin: Pin, target: Path) -> str:
        """Copy a package from its address; its SHA-256."""
        import requests  # a tenth of a second, which only a fetch has to wait

        digest = hashlib.sha256()
        with target.open("wb") as out:
            if urlsplit(pin.url).scheme == "file":
                data = Path(unquote(urlsplit(pin.url).path)).read_bytes()
                digest.update(data)
                out.write(data)
                return digest.hexdigest()
            login = self._logins.of(pin.url)
            with requests.get(pin.url, auth=login, stream=True, timeout=TIMEOUT_S) as answer:
                if answer.status_code in REFUSED:
                    raise ImageBuildError(_refusal(pin, f"{answer.status_code} {answer.reason}"))
                answer.raise_for_status()
                for piece in answer.iter_content(PIECE_BYTES):
                    digest.update(piece)
                    out.write(piece)
        return digest.hexdigest()


def _refusal(pin: Pin, said: str) -> str:
    host = urlsplit(pin.url).netloc.rpartition("@")[2]
    return (
        f"{pin.name} {pin.version} cannot be fetched: {host} says {said}; give it a login that it"
        f" knows, in the address (`https://USER:${{TOKEN}}@{host}/...` in requirements) or in"
        " ~/.netrc"
    )

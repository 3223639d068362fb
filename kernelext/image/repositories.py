"""Checks out a revision of a Git repository, by this machine's `git` and what it may read."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from kernelext.errors import ImageBuildError
from kernelext.image.jobs import Check
from kernelext.image.lines import GIT, fragment_of
from kernelext.image.logins import LOGIN, fill_in, hide_logins
from kernelext.image.programs import run_program

ABBREVIATED = re.compile(r"[0-9a-f]{4,39}")
OF_TAGS = re.compile(r"scm\b|vcs\b|versioneer|versioningit|dynamic-versioning")


def is_git(address: str) -> bool:
    """Whether a package lies in Git."""
    return address.startswith(GIT)


def check_out(address: str, target: Path, environ: Mapping[str, str], check: Check) -> Path:
    """Fetch one revision of a repository; the folder of its package.

    Parameters
    ----------
    address : str
        ``git+URL@REVISION#subdirectory=FOLDER``; variables in it stay out of what is kept.
    target : Path
        Made here.
    environ : mapping of str to str
    check : callable
        Raises when the user wants it to stop.

    Raises
    ------
    ImageBuildError
        It cannot be fetched, or has no such folder.
    """
    repository, revision = _split(address, environ)
    below = fragment_of(address).get("subdirectory", "")
    target.mkdir()
    git = _Git(address, target, {**environ, "GIT_TERMINAL_PROMPT": "0"}, check)
    git.run("init", "--quiet")
    git.run("remote", "add", "--", "origin", repository)  # what submodules are relative to
    if ABBREVIATED.fullmatch(revision) and not git.has_name(revision):
        # only who has them all can tell it from another
        git.run("fetch", "--quiet", "--tags", "origin")
        git.run("checkout", "--quiet", "--detach", revision)
    else:
        git.run("fetch", "--quiet", "--depth", "1", "--", "origin", revision)
        git.run("checkout", "--quiet", "FETCH_HEAD")
        if _has_version_of_tags(target / below):
            deepen = ["--unshallow"] if (target / ".git/shallow").exists() else []
            git.run("fetch", "--quiet", "--tags", *deepen, "origin")
    if (target / ".gitmodules").exists():
        git.run("submodule", "--quiet", "update", "--init", "--recursive", "--depth", "1")
    if not (target / below).is_dir():
        raise ImageBuildError(
            f"{hide_logins(address)} has no folder {below}; correct its `subdirectory`"
        )
    return target / below


def _split(address: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return a repository's address and the revision; an `@` before the path is a login's."""
    raw = address.removeprefix(GIT).partition("#")[0]
    url = raw if "://" in raw else fill_in(raw, environ)  # a value may have any character
    path = url.rpartition("://")[2].partition("/")[2]
    if "@" not in path:
        return _with_one_at(fill_in(url, environ)), "HEAD"
    repository, _, revision = url.rpartition("@")
    return _with_one_at(fill_in(repository, environ)), fill_in(revision, environ) or "HEAD"


def _with_one_at(url: str) -> str:
    """Return an address whose password has no bare `@`, at which git would end it."""
    return LOGIN.sub(lambda found: found[0][:-1].replace("@", "%40") + "@", url)


def _has_version_of_tags(folder: Path) -> bool:
    """Whether a package is likely to read its version off the history."""
    files = (folder / name for name in ("pyproject.toml", "setup.py", "setup.cfg"))
    texts = (file.read_text(encoding="utf-8", errors="replace") for file in files if file.exists())
    return any(OF_TAGS.search(text) for text in texts)


class _Git:
    """Runs git in one folder, for one address."""

    def __init__(
        self, address: str, folder: Path, environ: Mapping[str, str], check: Check
    ) -> None:
        self._address = hide_logins(address)
        self._folder = folder
        self._environ = environ
        self._check = check

    def has_name(self, revision: str) -> bool:
        """Whether a branch or a tag is called so."""
        names = (f"refs/heads/{revision}", f"refs/tags/{revision}")
        return bool(self.run("ls-remote", "--", "origin", *names))

    def run(self, *words: str) -> str:
        """Run a command, and say why it fails; what it prints."""
        problem = f"{self._address} cannot be fetched"
        try:
            done = run_program(
                ["git", *words], self._environ, folder=self._folder, check=self._check
            )
        except FileNotFoundError as exc:
            raise ImageBuildError(f"{problem}: this machine has no git; install it") from exc
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise ImageBuildError(f"{problem} by git: {exc}") from exc
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["git does not say why"])[-1]
            reason = hide_logins(last).removeprefix("fatal: ")
            raise ImageBuildError(
                f"{problem}: {reason}; see that the revision is there, and that `git"
                " ls-remote` can read the repository from here"
            )
        return done.stdout

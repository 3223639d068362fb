"""From names of Debian packages to files with addresses and digests, by this machine's `apt-get`.

Nothing is installed here: apt works in a folder of its own, with the base image's list of what is
installed there.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from kernelext.errors import ImageBuildError
from kernelext.image.jobs import Check, check_nothing
from kernelext.image.programs import run_program
from kernelext.image.resolving import Pin

OS_RELEASE = "/etc/os-release"
DPKG_STATUS = "/var/lib/dpkg/status"
SAID_LINES = 20
COMPONENTS = {"debian": "main", "ubuntu": "main universe"}
PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]*[a-z0-9+](=[A-Za-z0-9.+:~*-]+)?")
FETCHED = re.compile(r"'(?P<url>[^']+)' (?P<file>\S+) \d+ SHA256:(?P<sha256>[0-9a-f]{64})")
# `Check-Valid-Until`: a release that is no longer maintained is as good a base as it was.
SETTINGS = """\
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Architectures;
Dir "{root}";
Dir::State "{root}/state";
Dir::State::lists "lists";
Dir::State::status "{root}/status";
Dir::Cache "{root}/cache";
Dir::Etc "{root}/etc";
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Sandbox::User "";
APT::Get::Remove "false";
Acquire::Languages "none";
Acquire::ForceHash "SHA256";
Acquire::Check-Valid-Until "false";
"""


@dataclass(frozen=True)
class Release:
    """The distribution of a base image, and what is installed there.

    Attributes
    ----------
    distribution : str
        ``debian`` or ``ubuntu``.
    codename : str
    architecture : str
        As dpkg calls it.
    status : bytes
        The file in which dpkg keeps what is installed.
    """

    distribution: str
    codename: str
    architecture: str
    status: bytes

    @classmethod
    def of(cls, os_release: bytes | None, status: bytes | None, image: str) -> Release:
        """Return an image's, of two files that it holds.

        Raises
        ------
        ImageBuildError
            It is none of those that Debian packages are installed in.
        """
        lines = (os_release or b"").decode("utf-8", "replace").splitlines()
        facts = {key: text.strip("\"'") for key, _, text in (line.partition("=") for line in lines)}
        name = facts.get("ID", "")
        codename = facts.get("VERSION_CODENAME", "")
        own = re.search(rb"^Package: dpkg\n(?:.+\n)*?Architecture: (\S+)", status or b"", re.M)
        if name not in COMPONENTS or not codename or own is None or status is None:
            raise ImageBuildError(
                f"the image {image or 'of the host'} is {facts.get('PRETTY_NAME') or 'no Debian'},"
                " in which Debian packages cannot be installed; leave `apt` out of [image], or"
                " name another base, such as python:3.11-slim"
            )
        return cls(name, codename, own[1].decode(), status)


def resolve_debs(
    packages: Sequence[str],
    release: Release,
    environ: Mapping[str, str],
    check: Check = check_nothing,
) -> tuple[Pin, ...]:
    """Choose all files that a base lacks for some packages to work.

    Parameters
    ----------
    packages : sequence of str
        Their names; each may have ``=VERSION`` after it.
    release : Release
    environ : mapping of str to str
    check : callable
        Raises when the user wants it to stop.

    Raises
    ------
    ImageBuildError
        A package is unknown or they do not fit, or this machine has no apt or no mirror.
    """
    check_names(packages)
    if shutil.which("apt-get", path=environ.get("PATH")) is None:
        raise ImageBuildError(
            "Debian packages are chosen by apt-get, which this machine does not have; build the"
            " image on Debian or Ubuntu, or leave `apt` out of [image]"
        )
    with tempfile.TemporaryDirectory(prefix="kernelext-") as scratch:
        apt = _Apt(Path(scratch), environ, check)
        apt.write(release)
        apt.update(release)
        words = ["--print-uris", "--yes", "--no-install-recommends", "install", *packages]
        done = apt.run(*words)
    if done.returncode:
        raise ImageBuildError(
            f"the Debian packages of [image] ({', '.join(packages)}) cannot be resolved for"
            f" {release.distribution.capitalize()} {release.codename}: {_reason(done)}"
        )
    return tuple(parse_uris(done.stdout))


def check_names(packages: Sequence[str]) -> None:
    """Refuse what is no name of a package: apt would take it for an option or a pattern.

    Raises
    ------
    ImageBuildError
    """
    for name in packages:
        if not PACKAGE.fullmatch(name):
            raise ImageBuildError(f"{name!r} is no name of a Debian package; write `apt` anew")


def parse_uris(text: str) -> list[Pin]:
    """Read what `apt-get --print-uris` prints, by name.

    Examples
    --------
    >>> text = "'http://mirror/f/dc_1%253a2_all.deb' dc_1%3a2_all.deb 9 SHA256:" + 64 * "0"
    >>> parse_uris(text)[0].version
    '1:2'
    """
    pins = []
    for match in FETCHED.finditer(text):
        name, version, _ = match["file"].split("_")
        pins.append(Pin(name, unquote(version), match["file"], match["url"], match["sha256"]))
    return sorted(pins, key=lambda pin: pin.name)


class _Apt:
    """An apt that knows nothing of this machine but where its mirror is."""

    def __init__(self, root: Path, environ: Mapping[str, str], check: Check) -> None:
        self._check = check
        self._root = root
        self._environ = {**environ, "LC_ALL": "C"}
        self._settings = root / "apt.conf"

    def write(self, release: Release) -> None:
        """Write the settings, where packages are from, and what the base has."""
        for folder in ("state/lists/partial", "cache/archives/partial", "etc/preferences.d"):
            (self._root / folder).mkdir(parents=True)
        text = SETTINGS.format(root=self._root, architecture=release.architecture)
        self._settings.write_text(text)
        (self._root / "status").write_bytes(release.status)
        sources = sources_text(release, self._targets())
        (self._root / "etc" / "sources.list").write_text(sources)

    def update(self, release: Release) -> None:
        """Fetch the lists of packages; those of updates need not be there."""
        done = self.run("update")
        lists = self._root / "state" / "lists"
        if not any(lists.glob(f"*_dists_{release.codename}_*Release")):
            raise ImageBuildError(
                f"the list of {release.distribution.capitalize()} {release.codename}'s packages"
                f" cannot be fetched: {_reason(done)}"
            )

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `apt-get` with these settings."""
        return self._call("apt-get", "--config-file", str(self._settings), "--quiet=2", *words)

    def _targets(self) -> str:
        form = "$(ORIGIN)|$(LABEL)|$(REPO_URI)"
        return self._call("apt-get", "indextargets", "--format", form).stdout

    def _call(self, *words: str) -> subprocess.CompletedProcess[str]:
        return run_program(words, self._environ, check=self._check)


def sources_text(release: Release, targets: str) -> str:
    """Write a `sources.list` for a release, with the mirrors that this machine itself uses.

    Parameters
    ----------
    release : Release
    targets : str
        Lines of ``ORIGIN|LABEL|URI``; a machine that has never fetched its lists knows only the
        last.

    Raises
    ------
    ImageBuildError
        This machine uses none of that distribution.
    """
    known = [line.split("|", 2) for line in targets.splitlines() if line.count("|") >= 2]
    own = [
        (f"{label} {uri}".lower(), uri)
        for origin, label, uri in known
        if (origin or uri).lower().rstrip("/").endswith(release.distribution)
        or (not origin and f"/{release.distribution}" in uri)
    ]
    main = next((uri for told, uri in own if "security" not in told), "")
    security = next((uri for told, uri in own if "security" in told), "")
    name = release.distribution.capitalize()
    keyring = Path(f"/usr/share/keyrings/{release.distribution}-archive-keyring.gpg")
    if not main:
        raise ImageBuildError(
            f"this machine's apt knows no mirror of {name}, the base image's distribution; name"
            " another base, or add one to its sources"
        )
    if not keyring.exists():
        raise ImageBuildError(
            f"this machine has no keys of {name}'s packages; install"
            f" {release.distribution}-archive-keyring here"
        )
    suites = [(main, release.codename), (main, f"{release.codename}-updates")]
    suites += [(security, f"{release.codename}-security")] if security else []
    components = COMPONENTS[release.distribution]
    return "".join(
        f"deb [signed-by={keyring}] {uri} {suite} {components}\n" for uri, suite in suites
    )


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    """Return why apt does not go on, as one line."""
    needs = [line.strip() for line in done.stdout.splitlines() if " : " in line]
    said = done.stderr.splitlines()
    problems = [line.removeprefix("E: ") for line in said if line.startswith("E: ")]
    return " ".join([*needs, *problems][-SAID_LINES:]) or "apt-get does not say why"

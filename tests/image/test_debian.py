"""What a base is, where its packages are from, and what apt says of them."""

from __future__ import annotations

import pytest

from kernelext.errors import ImageBuildError
from kernelext.image.debian import Release, check_names, parse_uris, sources_text

OS_RELEASE = b'PRETTY_NAME="Debian 11"\nVERSION_CODENAME=bullseye\nID=debian\n'
STATUS = (
    b"Package: adduser\nArchitecture: all\n\n"
    b"Package: dpkg\nEssential: yes\nArchitecture: arm64\nVersion: 1.20\n\n"
    b"Package: zlib1g\nArchitecture: armhf\n"
)
RELEASE = Release("debian", "bullseye", "arm64", STATUS)
OWN = "Debian|Debian|http://mirror/debian/\nDebian|Debian-Security|http://mirror/debian-security/\n"
OTHERS = "Docker|Docker CE|http://others/linux/debian/\nDebian Backports|x|http://mirror/debian\n"


def test_release_of_a_base() -> None:
    assert Release.of(OS_RELEASE, STATUS, "base:1") == RELEASE
    alpine = b'ID=alpine\nPRETTY_NAME="Alpine Linux"\n'
    for os_release, status in ((alpine, None), (OS_RELEASE, None), (None, STATUS)):
        with pytest.raises(ImageBuildError, match="in which Debian packages cannot be installed"):
            Release.of(os_release, status, "base:1")


def test_sources_are_this_machines_mirrors() -> None:
    lines = [line.split("] ")[1] for line in sources_text(RELEASE, OTHERS + OWN).splitlines()]
    assert lines == [
        "http://mirror/debian/ bullseye main",
        "http://mirror/debian/ bullseye-updates main",
        "http://mirror/debian-security/ bullseye-security main",
    ]


def test_machine_that_has_never_fetched_its_lists() -> None:
    targets = "||http://mirror/debian-security/\n||http://mirror/debian/\n"
    assert "http://mirror/debian/ bullseye main" in sources_text(RELEASE, targets)


def test_machine_of_another_distribution() -> None:
    with pytest.raises(ImageBuildError, match="apt knows no mirror of Debian"):
        sources_text(RELEASE, "Ubuntu|Ubuntu|http://mirror/ubuntu/\n")


def test_files_that_apt_would_fetch() -> None:
    text = (
        "Reading package lists...\n"
        f"'http://mirror/z/zip_3_amd64.deb' zip_3_amd64.deb 9 SHA256:{'b' * 64}\n"
        f"'http://mirror/g/g%2b%2b_12_amd64.deb' g++_4%3a12_amd64.deb 9 SHA256:{'a' * 64}\n"
    )
    gxx, zipped = parse_uris(text)
    assert (gxx.name, gxx.version, gxx.file_name) == ("g++", "4:12", "g++_4%3a12_amd64.deb")
    assert (zipped.name, zipped.url) == ("zip", "http://mirror/z/zip_3_amd64.deb")
    assert gxx.sha256 == "a" * 64


def test_names_that_apt_takes_for_something_else() -> None:
    check_names(["g++", "libstdc++6", "r-base-core=4.2.2*", "0ad"])
    for name in ("-o", "--force", "zip-", "Zip", "zip curl", "./zip.deb", "~nzip", ""):
        with pytest.raises(ImageBuildError, match="is no name of a Debian package"):
            check_names([name])

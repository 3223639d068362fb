"""Debian trees: debootstrap, apt, and commands inside them."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
from pathlib import Path

from .commands import LabError, run, say

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROXY_NAMES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")

# The mounts and whatever a package starts end with the command, even a killed one.
NAMESPACES = ("--mount", "--propagation", "private", "--pid", "--fork", "--kill-child")
INSIDE = """
mount -t proc proc "$0/proc"
mount --bind /dev "$0/dev"
exec chroot "$0" sh -ec "$1"
"""

# The machine's clock may be far from the archive's dates, and a fresh tree needs no fsync.
APT_OPTIONS = (
    "-o Acquire::Check-Valid-Until=false -o Acquire::Check-Date=false "
    "-o Dpkg::Options::=--force-unsafe-io"
)


def chroot(tree: Path, script: str, settings: dict[str, str] | None = None) -> None:
    """Run a shell script inside a tree."""
    environment = {
        "PATH": PATH,
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "DEBIAN_FRONTEND": "noninteractive",
        **{name: os.environ[name] for name in PROXY_NAMES if name in os.environ},
        **(settings or {}),
    }
    argv = ["unshare", *NAMESPACES, "sh", "-ec", INSIDE, str(tree), script]
    run(*argv, environment=environment, timeout_s=1200)


def bootstrap(archive: Path, suite: str) -> None:
    """Pack the smallest Debian tree with fresh package lists, which the others start from."""
    tree = archive.with_suffix(".tree")
    partial = archive.with_suffix(".new")
    say(f"debootstrap {suite}")
    try:
        run_debootstrap(tree, suite)
    except LabError:
        mirror = machine_mirror()
        if mirror is None:
            raise
        say("debootstrap again, from the machine's own mirror")
        run_debootstrap(tree, suite, mirror)
    borrow_network(tree)
    chroot(tree, f"apt-get {APT_OPTIONS} -q update; apt-get clean")
    run("tar", "-C", tree, "--numeric-owner", "-cf", partial, ".")
    partial.rename(archive)
    shutil.rmtree(tree)


def run_debootstrap(tree: Path, suite: str, *mirror: str) -> None:
    """Make a tree, from debootstrap's default mirror unless one is given."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(tree)
    private = ("unshare", "--mount", "--propagation", "private")  # it mounts /proc in the tree
    run(*private, "debootstrap", "--variant=minbase", suite, tree, *mirror, timeout_s=1200)


def machine_mirror() -> str | None:
    """Return where the machine's own apt takes Debian from, all releases of it."""
    form = "$(ORIGIN) $(REPO_URI)"
    for line in run("apt-get", "indextargets", "--format", form, check=False).stdout.splitlines():
        origin, *address = line.split()
        if origin == "Debian":
            return address[0]
    return None


def borrow_network(tree: Path) -> None:
    """Give a tree the machine's name resolution; `finish` takes it away."""
    for name in ("etc/resolv.conf", "etc/hosts"):
        source = Path("/", name)
        if source.exists():
            shutil.copyfile(source, tree / name)


def install(archive: Path, tree: Path, packages: list[str]) -> None:
    """Unpack the smallest tree and let apt install packages into it."""
    tree.mkdir(parents=True)
    run("tar", "-C", tree, "-xpf", archive)
    borrow_network(tree)
    say(f"{tree.name}: apt-get install {shlex.join(packages)}")
    add_packages(tree, packages)


def add_packages(tree: Path, packages: list[str]) -> None:
    """Install packages without starting their services."""
    policy = tree / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    chroot(
        tree,
        f"apt-get {APT_OPTIONS} -qy install --no-install-recommends {shlex.join(packages)}"
        " && apt-get clean",
    )
    policy.unlink()

"""For what kind of Python wheels are chosen: the base image's."""

from __future__ import annotations

from dataclasses import dataclass

from packaging.tags import Tag, compatible_tags, cpython_tags

from kernelext.errors import ImageBuildError
from kernelext.models import ImageFacts

MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}
OLDEST_LIBC = 17
OLDEST_TAG = 5
LEGACY_TAGS = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}  # PEP 600
NEWEST_LIBC = 40  # of the platforms that uv knows


@dataclass(frozen=True)
class Target:
    """A Python, and the platform under it.

    Attributes
    ----------
    python : str
        Major and minor version.
    platform : str
        As uv calls it: ``x86_64-manylinux_2_36``.
    """

    python: str
    platform: str

    @property
    def tags(self) -> list[Tag]:
        """The tags of wheels that it takes, the best first (packaging.python.org, "tags")."""
        major, minor = (int(part) for part in self.python.split("."))
        machine, _, libc = self.platform.partition("-manylinux_2_")
        platforms = []
        for version in range(int(libc), OLDEST_TAG - 1, -1):
            platforms.append(f"manylinux_2_{version}_{machine}")
            if version in LEGACY_TAGS:
                platforms.append(f"{LEGACY_TAGS[version]}_{machine}")
        platforms.append(f"linux_{machine}")
        own = cpython_tags((major, minor), platforms=platforms)
        return [*own, *compatible_tags((major, minor), f"cp{major}{minor}", platforms)]

    def marker_environment(self) -> dict[str, str]:
        """Return what conditions of requirements are asked about (PEP 508)."""
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "os_name": "posix",
            "platform_machine": self.platform.partition("-")[0],
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
        }

    @property
    def key(self) -> str:
        """One word for both."""
        return f"{self.python}-{self.platform}"

    @classmethod
    def of(cls, facts: ImageFacts, image: str) -> Target:
        """Return an image's.

        Raises
        ------
        ImageBuildError
            No wheels are made for it.
        """
        machine = MACHINES.get(facts.machine.lower())
        if machine is None:
            raise ImageBuildError(
                f"the image {image or 'of the host'} is for {facts.machine or 'another machine'},"
                " for which few wheels are made; name another base"
            )
        if not facts.libc:
            raise ImageBuildError(
                f"the image {image or 'of the host'} has no GNU C library (is it Alpine's?), for"
                " which wheels are made; name another base, such as python:3.11-slim"
            )
        minor = min(max(int(facts.libc.split(".")[1]), OLDEST_LIBC), NEWEST_LIBC)
        python = ".".join(facts.python.split(".")[:2])
        return cls(python, f"{machine}-manylinux_2_{minor}")

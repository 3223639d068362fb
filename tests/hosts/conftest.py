"""A home with an SSH configuration, and an `ssh` that reads it."""

from pathlib import Path

import pytest

OPENSSH = Path("/usr/bin/ssh")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    (tmp_path / "home" / ".ssh" / "config").write_text("")
    return tmp_path / "home"


@pytest.fixture
def environ(home: Path, tmp_path: Path) -> dict[str, str]:
    """The wrapper stands in for a password database that names `home`."""
    programs = tmp_path / "bin"
    programs.mkdir()
    wrapper = programs / "ssh"
    wrapper.write_text(f'#!/bin/sh\nexec {OPENSSH} -F "$HOME/.ssh/config" "$@"\n')
    wrapper.chmod(0o755)
    return {
        "HOME": str(home),
        "PATH": str(programs),
        "USER": "ada",
        "KERNELEXT_CONFIG": str(home / "kernelext.toml"),
    }

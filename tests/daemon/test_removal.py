"""What a cell has closed to its owner goes all the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from kernelext.daemon.removal import remove_tree

from ..contract.unprivileged import unprivileged

REMOVE = """
import sys
from pathlib import Path
from kernelext.daemon.removal import remove_tree
remove_tree(Path(sys.argv[1]))
"""


def test_closed_folders_are_removed_and_links_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    folder = tmp_path / "folder"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "file").write_text("x")
    (folder / "a" / "link").symlink_to(outside)
    (folder / "a" / "b").chmod(0)
    (folder / "a").chmod(0)
    folder.chmod(0o500)
    outside.chmod(0o500)
    subprocess.run([*unprivileged(), sys.executable, "-c", REMOVE, str(folder)], check=True)
    assert not folder.exists()
    assert (outside / "kept").exists()
    assert outside.stat().st_mode & 0o777 == 0o500


def test_what_is_gone_is_fine(tmp_path: Path) -> None:
    remove_tree(tmp_path / "none")

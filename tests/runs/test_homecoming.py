"""What comes from a host goes into the output folders, and nowhere else; nothing is lost."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from kernelext.bundle import take_baseline
from kernelext.models import Chunk, FileChanges, FileEntry
from kernelext.runs.homecoming import Homecoming


def entry(path: str, text: str, mode: int = 0o644) -> FileEntry:
    data = text.encode()
    return FileEntry(path, mode, (Chunk(hashlib.sha256(data).hexdigest(), len(data)),))


class Home:
    """A project to which files come."""

    def __init__(self, folder: Path, folds: tuple[str, ...] = ("0",)) -> None:
        self.root = folder / "project"
        self.staging = folder / "staging"
        self.out = self.root / "data" / "output"
        self.out.mkdir(parents=True, exist_ok=True)
        self.staging.mkdir(exist_ok=True)
        self.folds = folds
        self.leave()

    def leave(self) -> None:
        """Send a cell off."""
        self.homecoming = Homecoming(take_baseline(self.root), None, self.folds)

    def bring(self, name: str, text: str, fold: str = "0", mode: int = 0o644) -> None:
        staged = self.staging / "one"
        staged.write_text(text)
        self.homecoming.place(entry(f"data/output/{name}", text, mode), staged, fold)

    def has(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in self.out.iterdir()}

    def said(self) -> str:
        return "\n".join(self.homecoming.notes.sentences())


@pytest.mark.parametrize(
    "path",
    [
        "data/output/../../kernelext.toml",
        "data/output/..",
        "data/output/./a",
        "data/output//a",
        "data/output/",
        "data/output",
        "data/outputs/a",
        "/etc/passwd",
        "data/output/a\0b",
        "code.py",
        "data/input/a.csv",
        "",
        "..",
    ],
)
def test_path_that_leaves_the_output_folders_is_refused(tmp_path: Path, path: str) -> None:
    objection = Home(tmp_path).homecoming.objection(path)
    assert objection == "its path is not below data/working or data/output"


@pytest.mark.parametrize("place", ["data", "data/output", "data/output/deep"])
def test_folder_that_leads_elsewhere_is_refused(tmp_path: Path, place: str) -> None:
    home = Home(tmp_path)
    (home.root / "data" / "output").rmdir()
    (home.root / "data").rmdir()
    link = home.root / place
    link.parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "elsewhere").mkdir()
    link.symlink_to(tmp_path / "elsewhere")
    objection = home.homecoming.objection("data/output/deep/a")
    assert objection is not None
    assert "leads elsewhere" in objection


def test_link_below_the_output_folder_is_followed(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (home.out / "one").mkdir()
    (home.out / "latest").symlink_to("one")
    assert home.homecoming.objection("data/output/latest/a") is None


def test_name_that_is_none_here_is_refused(tmp_path: Path) -> None:
    objection = Home(tmp_path).homecoming.objection("data/output/\ud800")
    assert objection == "its name cannot be written here"


def test_changes_with_odd_digests_or_sizes_are_no_changes() -> None:
    for digest, size in [("../x", 1), ("a" * 64, 0), ("a" * 64, 2**40), ("a" * 64, -1)]:
        chunk = {"digest": digest, "size_bytes": size}
        files = [{"path": "data/output/a", "mode": 0o644, "chunks": [chunk]}]
        with pytest.raises(ValueError, match=r"no chunk|no number"):
            FileChanges.from_json({"files": files, "left": []})


def test_file_as_it_was_is_replaced_with_its_mode(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (home.out / "a").write_text("old")
    (home.out / "a").chmod(0o640)
    home.leave()
    home.bring("a", "new", mode=0o777)
    assert home.has() == {"a": "new"}
    assert (home.out / "a").stat().st_mode & 0o777 == 0o640
    home.bring("run.sh", "new", mode=0o700)
    assert os.access(home.out / "run.sh", os.X_OK)
    assert (home.said(), list(home.staging.iterdir())) == ("", [])


@pytest.mark.parametrize("before", ["old", None])
def test_file_changed_or_made_here_meanwhile_is_kept(tmp_path: Path, before: str | None) -> None:
    home = Home(tmp_path)
    if before:
        (home.out / "a").write_text(before)
    home.leave()
    (home.out / "a").write_text("mine")
    home.bring("a", "theirs")
    assert home.has() == {"a": "mine", "a.remote": "theirs"}
    home.leave()
    (home.out / "a").write_text("mine too")
    home.bring("a", "again")
    assert home.has() == {"a": "mine too", "a.remote": "theirs", "a.remote2": "again"}
    assert "both are kept: data/output/a (the host's is a.remote2)" in home.said()


def test_same_change_on_both_sides_is_none(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (home.out / "a").write_text("same")
    home.bring("a", "same")
    assert (home.has(), home.said()) == ({"a": "same"}, "")


def test_link_of_the_users_is_not_replaced(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (tmp_path / "elsewhere").write_text("mine")
    (home.out / "a").symlink_to(tmp_path / "elsewhere")
    home.leave()
    home.bring("a", "theirs")
    assert home.has() == {"a": "mine", "a.remote": "theirs"}
    assert (home.out / "a").is_symlink()


@pytest.mark.parametrize("order", ["012", "210", "102"])
def test_first_fold_has_the_name_whoever_ends_first(tmp_path: Path, order: str) -> None:
    home = Home(tmp_path, ("0", "1", "2"))
    for fold in order:
        home.bring("a", f"of {fold}", fold)
        home.bring("same", "equal", fold)
        home.bring(f"own{fold}", fold, fold)
    own = {f"own{fold}": fold for fold in "012"}
    wanted = {"a": "of 0", "a.fold1": "of 1", "a.fold2": "of 2", "same": "equal", **own}
    assert home.has() == wanted
    assert home.said().startswith("Folds 0, 1, 2 wrote different data/output/a: fold 0's has")
    home.leave()
    home.bring("a", "later 0", "0")
    home.bring("a", "later 1", "1")
    assert home.has() == {**wanted, "a": "later 0", "a.fold1": "later 1"}


def test_what_cannot_be_written_is_kept_and_said(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (home.out / "a").mkdir()
    (home.out / "deep").write_text("a file is in the way")
    home.leave()
    home.bring("deep/b", "theirs")
    assert (home.staging / "one").read_text() == "theirs"
    assert f"cannot be written here (Not a directory); it lies in {home.staging}/one" in home.said()
    home.bring("a", "theirs")
    assert (home.out / "a.remote").read_text() == "theirs"

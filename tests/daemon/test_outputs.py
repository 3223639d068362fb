"""What a cell has changed, found in folders into which it may have put anything."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from kernelext.daemon import outputs
from kernelext.daemon.outputs import MAX_DEPTH, MAX_LEFT, Placed, changed_files, read_piece, stamp
from kernelext.models import CHUNK_BYTES, FileChanges, FileEntry, to_json

FOLDERS = ("data/working", "data/output")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    path = tmp_path / "project" / "data" / "output"
    path.mkdir(parents=True)
    return path


def find(work: Path, sent: tuple[FileEntry, ...] = ()) -> FileChanges:
    return changed_files(work, FOLDERS, {entry.path: entry for entry in sent}, Placed())


def test_new_and_changed_files_are_listed_with_their_chunks(tmp_path: Path, out: Path) -> None:
    data = os.urandom(CHUNK_BYTES + 3)
    (out / "large").write_bytes(data)
    (out / "deep").mkdir()
    (out / "deep" / "empty").touch()
    first = find(tmp_path)
    assert [entry.path for entry in first.files] == ["data/output/deep/empty", "data/output/large"]
    large = first.files[1]
    assert [chunk.size_bytes for chunk in large.chunks] == [CHUNK_BYTES, 3]
    assert read_piece(tmp_path, large.path, CHUNK_BYTES, 3) == data[-3:]
    assert find(tmp_path, first.files) == FileChanges()
    (out / "large").write_bytes(b"other")
    assert [entry.path for entry in find(tmp_path, first.files).files] == ["data/output/large"]


def test_untouched_file_is_not_read(tmp_path: Path, out: Path) -> None:
    path = out / "a"
    path.write_text("1")
    found = path.stat()
    old = Placed({"data/output/a": stamp(found)}, found.st_ctime_ns + 10**9)
    assert changed_files(tmp_path, FOLDERS, {}, old) == FileChanges()
    # Placed a moment ago it may have changed since within the same tick.
    just_now = Placed({"data/output/a": stamp(found)}, found.st_ctime_ns + 1000)
    assert len(changed_files(tmp_path, FOLDERS, {}, just_now).files) == 1


def test_links_and_special_files_are_left(tmp_path: Path, out: Path) -> None:
    (tmp_path / "secret").write_text("s")
    (out / "file").symlink_to(tmp_path / "secret")
    (out / "folder").symlink_to(tmp_path)
    (out / "sent").symlink_to("x")
    os.mkfifo(out / "pipe")
    found = find(tmp_path, (FileEntry("data/output/sent", 0o777, (), "x"),))
    assert found.files == ()
    names = [path.rpartition("/")[2] for path, _ in found.left]
    assert names == ["file", "folder", "pipe"]


@pytest.mark.parametrize("place", ["project", "project/data", "project/data/output"])
def test_folder_that_became_a_link_is_not_entered(tmp_path: Path, out: Path, place: str) -> None:
    (tmp_path / "elsewhere" / "data" / "output").mkdir(parents=True)
    (tmp_path / "elsewhere" / "data" / "output" / "a").write_text("s")
    (tmp_path / place).rename(tmp_path / "moved")
    (tmp_path / place).symlink_to(tmp_path / "elsewhere")
    found = find(tmp_path)
    assert found.files == ()
    assert ("data/output", "it is no folder there") in found.left
    with pytest.raises(OSError, match=r".*"):
        read_piece(tmp_path, "data/output/a", 0, 1)


def test_deep_folders_end_somewhere(tmp_path: Path, out: Path) -> None:
    deep = out
    for _ in range(MAX_DEPTH + 5):
        deep = deep / "d"
    deep.mkdir(parents=True)
    assert "folders deep" in find(tmp_path).left[0][1]


@pytest.mark.parametrize("path", ["../outside", "data/../../outside", "data/output/absent", "a"])
def test_only_files_of_the_project_are_read(tmp_path: Path, out: Path, path: str) -> None:
    (tmp_path / "outside").write_text("s")
    with pytest.raises(OSError, match=r".*"):
        read_piece(tmp_path, path, 0, 10)


def test_list_of_files_ends_with_one_sentence(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "MAX_FILES", 10)
    (out.parent / "working").mkdir()
    for folder in (out, out.parent / "working"):
        for number in range(8):
            (folder / f"{number}").write_text(f"{number}")
    found = find(tmp_path)
    assert len(found.files) == 10
    assert [path for path, _ in found.left] == ["data/output"]
    assert "more than 10 files; those before data/output/2 come home" in found.left[0][1]


def test_list_of_files_fits_into_a_frame(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "MAX_LIST_BYTES", 20_000)
    for number in range(200):
        (out / (f"{number:03}" + "\N{BOTTLE WITH POPPING CORK}" * 50)).write_text(f"{number}")
    found = find(tmp_path)
    assert 0 < len(json.dumps(to_json(found))) < 21_000
    assert len(found.files) > 10
    assert len(found.left) == 1


def test_what_cannot_travel_is_named_up_to_a_number(tmp_path: Path, out: Path) -> None:
    for number in range(MAX_LEFT + 20):
        (out / f"{number:05}").symlink_to("x")
    (out / "last").write_text("it comes home all the same")
    found = find(tmp_path)
    assert [entry.path for entry in found.files] == ["data/output/last"]
    assert len(found.left) == MAX_LEFT + 1
    assert "nor can more of what follows" in found.left[-1][1]

"""The project's files: named by digest, ignored by rule, never stale."""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kernelext.bundle import Snapshot, StatCache, snapshot, take_snapshot
from kernelext.errors import BundleError, ProjectTooLarge, SecretsFound
from kernelext.hosts.config import Settings
from kernelext.models import CHUNK_BYTES, FileEntry

from .audit import audited

LATER_NS = 10**19  # long after any file was written
LIMIT = 10**9


def snap(root: Path, cache: StatCache | None = None, now_ns: int = LATER_NS) -> Snapshot:
    return take_snapshot(root, cache or StatCache(), now_ns, LIMIT)


def test_digest_ignores_mtime_and_order(tmp_path: Path) -> None:
    (tmp_path / "b.py").write_text("b")
    (tmp_path / "a.py").write_text("a")
    first = snap(tmp_path)
    os.utime(tmp_path / "a.py", (1, 1))
    assert snap(tmp_path).manifest_chunk == first.manifest_chunk
    assert [entry.path for entry in first.files] == ["a.py", "b.py"]


def test_what_is_ignored_stays(tmp_path: Path) -> None:
    for path in (".git/config", ".venv/x.py", "a/__pycache__/y.pyc", "data/big.bin", "keep.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x")
    (tmp_path / ".gitignore").write_text("data/\n")
    assert [entry.path for entry in snap(tmp_path).files] == [".gitignore", "keep.py"]
    (tmp_path / ".dockerignore").write_text("keep.py\n")
    paths = [entry.path for entry in snap(tmp_path).files]
    assert "data/big.bin" in paths
    assert "keep.py" not in paths


def test_large_file_is_cut_into_chunks_and_read_back(tmp_path: Path) -> None:
    data = os.urandom(CHUNK_BYTES + 5)
    (tmp_path / "big").write_bytes(data)
    snapshot = snap(tmp_path)
    chunks = snapshot.files[0].chunks
    assert [chunk.size_bytes for chunk in chunks] == [CHUNK_BYTES, 5]
    assert b"".join(snapshot.read(chunk.digest) for chunk in chunks) == data


def test_file_changed_in_the_same_instant_is_noticed(tmp_path: Path) -> None:
    cache = StatCache()
    path = tmp_path / "a.py"
    path.write_text("one")
    now_ns = path.stat().st_mtime_ns + 1
    first = snap(tmp_path, cache, now_ns)
    stat = path.stat()
    path.write_text("two")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert snap(tmp_path, cache, now_ns).files != first.files


def test_unchanged_project_gives_the_same_snapshot(tmp_path: Path) -> None:
    cache = StatCache()
    (tmp_path / "a.py").write_text("one")
    first = snap(tmp_path, cache)
    assert snap(tmp_path, cache) is first


@pytest.mark.parametrize(("age_ns", "is_read"), [(1, True), (10**10, False)])
def test_folder_that_has_just_changed_is_sorted_out_again(
    tmp_path: Path, age_ns: int, is_read: bool
) -> None:
    """What becomes another kind of thing in the same instant leaves names and times alone."""
    cache = StatCache()
    (tmp_path / "a.py").write_text("one")
    now_ns = tmp_path.stat().st_mtime_ns + age_ns
    snap(tmp_path, cache, now_ns)
    read: list[str] = []
    with audited("os.scandir", read.append):
        snap(tmp_path, cache, now_ns)
    assert (str(tmp_path) in read) is is_read


def rewrite(path: Path) -> None:
    path.write_text("two")


def rewrite_and_set_the_time_back(path: Path) -> None:
    before = path.stat()
    path.write_text("two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def rename_over(path: Path) -> None:
    before = path.stat()
    other = path.with_name("other")
    other.write_text("two")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


def write_through_a_map(path: Path) -> None:
    before = path.stat()
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 3) as data:
        data[:] = b"two"
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def link_another(path: Path) -> None:
    path.rename(path.with_name("kept"))
    path.with_name("target").write_text("two")
    path.symlink_to("target")


@pytest.mark.parametrize(
    "change",
    [rewrite, rewrite_and_set_the_time_back, rename_over, write_through_a_map, link_another],
)
def test_no_change_of_the_same_size_goes_unseen(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    cache = StatCache()
    path = tmp_path / "a.py"
    path.write_text("one")
    first = entry_of(snap(tmp_path, cache), "a.py")
    assert first.chunks == entry_of(snap(tmp_path, cache), "a.py").chunks
    wait_for_a_new_time(path)
    change(path)
    assert entry_of(snap(tmp_path, cache), "a.py").chunks != first.chunks


def entry_of(snapshot: Snapshot, path: str) -> FileEntry:
    return next(entry for entry in snapshot.files if entry.path == path)


def wait_for_a_new_time(path: Path) -> None:
    """Wait for the kernel's clock of file times, which stands still for some milliseconds."""
    beside = path.with_name("clock")
    while True:
        beside.touch()
        if beside.stat().st_ctime_ns > path.stat().st_ctime_ns:
            beside.unlink()
            return


def test_file_changed_while_it_is_sent_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("one")
    snapshot = snap(tmp_path)
    (tmp_path / "a.py").write_text("two")
    with pytest.raises(BundleError, match=r"a\.py changed while.*name it in \.gitignore"):
        snapshot.read(snapshot.files[0].chunks[0].digest)


def test_file_that_changes_all_the_time_travels_as_it_was_seen(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_text("one")
    snapshot = snap(tmp_path, now_ns=path.stat().st_mtime_ns + 1)
    path.write_text("two")
    assert snapshot.read(snapshot.files[0].chunks[0].digest) == b"one"


def test_log_that_grows_travels_as_it_was_seen(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text("one\n")
    snapshot = snap(tmp_path)
    with path.open("a") as log:
        log.write("two\n")
    assert snapshot.read(snapshot.files[0].chunks[0].digest) == b"one\n"


def test_project_above_the_limit_is_refused_with_the_largest(tmp_path: Path) -> None:
    (tmp_path / "big.bin").write_bytes(bytes(2000))
    with pytest.raises(ProjectTooLarge) as caught:
        take_snapshot(tmp_path, StatCache(), LATER_NS, 1000)
    assert caught.value.sizes == {"big.bin": 2000}


def test_the_notebook_itself_stays(tmp_path: Path) -> None:
    for name in ("a.ipynb", "b.ipynb"):
        (tmp_path / name).write_text("{}")
    found = take_snapshot(tmp_path, StatCache(), LATER_NS, LIMIT, [tmp_path / "a.ipynb"])
    assert [entry.path for entry in found.files] == ["b.ipynb"]


def test_names_with_spaces_and_other_letters(tmp_path: Path) -> None:
    (tmp_path / "grüße an alle.txt").write_text("x")
    assert snap(tmp_path).files[0].path == "grüße an alle.txt"


@pytest.mark.parametrize("name", [".env", "aws.pem", "id_ed25519", "kaggle.json", ".ssh/config"])
def test_what_looks_like_a_secret_needs_a_rule(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("secret")
    (tmp_path / "a.py").write_text("")
    with pytest.raises(SecretsFound, match=name):
        snap(tmp_path)
    rules = tmp_path / ".dockerignore"
    rules.write_text(f"{name}\n")
    assert [entry.path for entry in snap(tmp_path).files] == [".dockerignore", "a.py"]
    rules.write_text(f"!{name}\n")
    assert name in [entry.path for entry in snap(tmp_path).files]


@pytest.mark.parametrize(
    ("path", "rule", "allowed"),
    [
        ("conf/.env", "!.env", True),
        ("conf/.env", "!.env*", True),
        ("conf/.env", "!/conf/.env", True),
        (".aws/config", "!.aws/", True),
        ("conf/.env", "!conf/", False),
        ("conf/.env", "!*", False),
        ("conf/.env", "!**/*", False),
        ("conf/.env", "!conf", False),
    ],
)
def test_only_a_rule_for_the_secret_itself_sends_it(
    tmp_path: Path, path: str, rule: str, allowed: bool
) -> None:
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).write_text("secret")
    (tmp_path / ".gitignore").write_text(f"# ours\n\n{rule}\n")
    if allowed:
        assert path in [entry.path for entry in snap(tmp_path).files]
    else:
        with pytest.raises(SecretsFound):
            snap(tmp_path)


def test_secret_in_a_known_file_is_still_known(tmp_path: Path) -> None:
    cache = StatCache()
    body = "A1b2" * 20
    (tmp_path / "notes.txt").write_text(f"-----BEGIN RSA PRIVATE KEY-----\n{body}\n")
    for _ in range(2):
        with pytest.raises(SecretsFound, match=r"notes\.txt \(holds a private key\)"):
            snap(tmp_path, cache)
    (tmp_path / ".gitignore").write_text("!notes.txt\n")
    assert len(snap(tmp_path, cache).files) == 2


def test_link_to_a_secret_needs_a_rule(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".netrc").write_text("machine example.com password p")
    root = tmp_path / "clone"
    root.mkdir()
    (root / "notes.txt").symlink_to(tmp_path / "home" / ".netrc")
    with pytest.raises(SecretsFound, match=r"notes\.txt \(links to .*/home/\.netrc\)"):
        snap(root)
    (root / ".gitignore").write_text("!notes.txt\n")
    assert [entry.path for entry in snap(root).files] == [".gitignore", "notes.txt"]


def test_many_files_are_right_and_unchanged_ones_are_not_read_again(tmp_path: Path) -> None:
    cache = StatCache()
    contents = {f"{n % 100:02}/{n}": str(n) for n in range(20_000)}
    for path, text in contents.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    read: list[str] = []
    with audited("open", lambda path: read.append(path.removeprefix(f"{tmp_path}/"))):
        first = snap(tmp_path, cache)
        assert contents.keys() <= {*read}
        read.clear()
        assert snap(tmp_path, cache) == first
        assert contents.keys().isdisjoint(read)
    digests = {path: hashlib.sha256(text.encode()).hexdigest() for path, text in contents.items()}
    assert {each.path: each.chunks[0].digest for each in first.files} == digests


def test_file_larger_than_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "model.bin").touch()
    os.truncate(tmp_path / "model.bin", 3 * 10**9)
    read: list[str] = []
    with audited("open", read.append), pytest.raises(ProjectTooLarge) as caught:
        take_snapshot(tmp_path, StatCache(), LATER_NS, Settings("me").upload_limit_bytes)
    assert caught.value.sizes == {"model.bin": 3 * 10**9}
    assert str(tmp_path / "model.bin") not in read


def test_file_that_is_gone_when_it_is_read_is_left_out(tmp_path: Path) -> None:
    cache = StatCache()
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)

    def remove(path: str) -> None:
        if path == str(tmp_path / "b"):
            (tmp_path / "b").unlink(missing_ok=True)

    with audited("open", remove):
        assert [entry.path for entry in snap(tmp_path, cache).files] == ["a", "c"]
    (tmp_path / "b").write_text("again")
    assert [entry.path for entry in snap(tmp_path, cache).files] == ["a", "b", "c"]


def test_more_files_than_a_host_can_be_told_of_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(100):
        (tmp_path / f"{number}.txt").write_text(f"{number}")
    assert len(snap(tmp_path).files) == 100
    monkeypatch.setattr(snapshot, "MAX_BODY_BYTES", 10_000)
    with pytest.raises(BundleError, match="the project has 100 files, more than a host"):
        snap(tmp_path)

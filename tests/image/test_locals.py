"""Packages that no index has: a folder, a file or an archive here, a revision of Git."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from kernelext.errors import ImageBuildError
from kernelext.image.lines import local_of, read_lines
from kernelext.image.locals import fingerprint, is_wanted, requirement_of
from kernelext.image.resolving import Pin, read_lock, resolve
from kernelext.image.target import Target
from kernelext.image.wanted import Local, Wanted

from .packages import commit, git, write_package
from .test_resolving import TARGET
from .wheels import Index, make_wheel, serve_index, sha256


def build(line: str, folder: Path, target: Target = TARGET) -> str:
    """Have the wheel of a line of a requirements file; the requirement that names it."""
    local = local_of(line, folder)
    assert local is not None
    return requirement_of(local, folder / "wheels", target, os.environ)


def read_own(requirement: str) -> str:
    """The module in a wheel that was built."""
    with zipfile.ZipFile(requirement.partition(" @ file://")[2]) as wheel:
        return wheel.read("own.py").decode()


def resolved(index: Index, folder: Path, *requirements: str) -> tuple[Pin, ...]:
    """What is chosen for some requirements."""
    environ = {**os.environ, **index.environ()}
    wanted = Wanted("requirements.txt", requirements)
    return read_lock(resolve(wanted, TARGET, folder, environ), TARGET)


def test_folder_is_built_and_what_it_needs_comes_with_it(index: Index, tmp_path: Path) -> None:
    make_wheel(index.folder, "below")
    write_package(tmp_path / "own")
    requirement = build("./own", tmp_path)
    assert requirement.startswith("own @ file://")
    pins = resolved(index, tmp_path, requirement)
    assert [pin.name for pin in pins] == ["below", "own"]
    wheel = Path(pins[1].url.removeprefix("file://"))
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() == pins[1].sha256


def test_same_folder_makes_the_same_wheel_and_a_changed_one_another(tmp_path: Path) -> None:
    local = [Local(str(write_package(tmp_path / "own")))]
    seen = fingerprint(local)
    built = build("./own", tmp_path)
    assert build("./own", tmp_path) == built
    assert fingerprint(local) == seen
    write_package(tmp_path / "own", "X = 22\n")
    assert fingerprint(local) != seen
    changed = build("./own", tmp_path)
    assert read_own(changed) == "X = 22\n"
    assert read_own(built) == "X = 1\n"


def test_only_what_a_build_makes_is_no_part_of_a_package(tmp_path: Path) -> None:
    own = write_package(tmp_path / "own")
    (own / "own/build").mkdir(parents=True)
    seen = fingerprint([Local(str(own))])
    for made in ("build/lib/own.py", "dist/x.whl", "own/__pycache__/x.py", "src/own.egg-info/y"):
        (own / made).parent.mkdir(parents=True)
        (own / made).touch()
        assert fingerprint([Local(str(own))]) == seen, made
    for module in ("own/build/__init__.py", "own/dist/x.py", "own/venv/x.py", "own/data/x.csv"):
        (own / module).parent.mkdir(exist_ok=True)
        (own / module).touch()
        assert fingerprint([Local(str(own))]) != seen, module
        seen = fingerprint([Local(str(own))])


def test_wheel_that_is_built_anew_in_a_folder_of_wheels_is_chosen(tmp_path: Path) -> None:
    """Under the same name and version, where the versions of before are kept."""
    folder = tmp_path / "some wheels"
    folder.mkdir()
    make_wheel(folder, "one", files={"one.py": "X = 1\n"})
    wanted = read_lines(["--no-index", "--find-links './some wheels'", "one"], tmp_path, "r.txt")
    seen = fingerprint((), wanted.requirements)
    lock = resolve(wanted, TARGET, tmp_path, os.environ)
    assert fingerprint((), wanted.requirements) == seen
    newer = make_wheel(folder, "one", files={"one.py": "X = 'another'\n"})
    assert fingerprint((), wanted.requirements) != seen
    (pin,) = read_lock(resolve(wanted, TARGET, tmp_path, os.environ, lock), TARGET)
    assert pin.sha256 == sha256(newer)


def test_folder_is_built_by_the_notebooks_own_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the package asks for: no interpreter is fetched, and none looked for."""
    own = write_package(tmp_path / "own")
    with (own / "pyproject.toml").open("a") as file:
        file.write('[project]\nname = "own"\nversion = "0.1"\nrequires-python = ">=3.99"\n')
    (own / ".python-version").write_text("3.99\n")
    seen = "import sys\nfrom pathlib import Path\nPath('python').write_text(sys.base_prefix)\n"
    (own / "backend.py").write_text(seen + (own / "backend.py").read_text())
    monkeypatch.setenv("UV_OFFLINE", "1")
    build("./own", tmp_path)
    assert (own / "python").read_text() == sys.base_prefix


def test_extras_of_a_folder_bring_what_they_need(index: Index, tmp_path: Path) -> None:
    for name in ("below", "plots", "docs"):
        make_wheel(index.folder, name)
    write_package(tmp_path / "own", extras={"plot": "plots", "doc": "docs"})
    for line in ("-e ./own[plot]", "own[plot] @ file:./own", "./own [ plot ]"):
        pins = resolved(index, tmp_path, build(line, tmp_path))
        assert [pin.name for pin in pins] == ["below", "own", "plots"], line
    with pytest.raises(ImageBuildError, match=r"has no extra called plto; it has doc, plot: corr"):
        build("-e ./own[plto,doc]", tmp_path)


def test_wheel_that_lies_here_is_taken_as_it_is(index: Index, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "one", needs=("below",))
    make_wheel(index.folder, "below")
    for line in (f"./{wheel.name}", wheel.name, f"one @ file:{wheel.name}", str(wheel)):
        pins = resolved(index, tmp_path, build(line, tmp_path))
        assert [(pin.name, pin.file_name) for pin in pins][1] == ("one", wheel.name), line
        assert pins[1].sha256 == sha256(wheel)
    seen = fingerprint([Local(str(wheel))])
    make_wheel(tmp_path, "one", files={"one.py": "VERSION = 'another, and longer'"})
    assert fingerprint([Local(str(wheel))]) != seen


def test_source_archive_here_and_at_an_address(tmp_path: Path) -> None:
    write_package(tmp_path / "tree/own-0.1")
    packed = shutil.make_archive(str(tmp_path / "own-0.1"), "gztar", tmp_path / "tree")
    assert read_own(build("own-0.1.tar.gz", tmp_path)) == "X = 1\n"
    with serve_index(tmp_path) as server:
        address = f"{server.url}/files/{Path(packed).name}"
        assert read_own(build(f"own @ {address}", tmp_path)) == "X = 1\n"
        digest = sha256(Path(packed))
        assert build(f"own @ {address} --hash=sha256:{digest}", tmp_path)
        assert build(f"own @ {address} --hash=sha256:{'0' * 64} --hash=sha256:{digest}", tmp_path)
        assert build(f"own @ {address}#sha256={digest}", tmp_path)
        with pytest.raises(ImageBuildError, match="has another SHA-256"):
            build(f"own @ {address} --hash=sha256:{'0' * 64}", tmp_path)
        with pytest.raises(ImageBuildError, match=r"absent.zip cannot be fetched \(404 .* reached"):
            build(f"{server.url}/files/absent.zip", tmp_path)


def test_file_that_lies_here_has_a_hash_that_is_written(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "one")
    other = f"--hash=sha256:{'0' * 64}"
    assert build(f"./{wheel.name} {other} --hash=sha256:{sha256(wheel).upper()}", tmp_path)
    with pytest.raises(ImageBuildError, match=r"none-any\.whl has the hash .* see who has changed"):
        build(f"./{wheel.name} {other}", tmp_path)


def test_revision_of_a_repository(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    write_package(repository / "inner")
    first = commit(repository)
    write_package(repository / "inner", "X = 2\n")
    commit(repository)
    address = f"git+{repository.as_uri()}"
    newest = build(f"{address}#subdirectory=inner", tmp_path)
    assert read_own(newest) == "X = 2\n"
    assert build(f"own @ {address}@main#subdirectory=inner", tmp_path) == newest
    for revision in (first, first[:8]):
        older = build(f"-e {address}@{revision}#egg=own&subdirectory=inner", tmp_path)
        assert read_own(older) == "X = 1\n"
    with pytest.raises(
        ImageBuildError, match=r"@nowhere cannot be fetched: .*; see that the revision"
    ):
        build(f"{address}@nowhere", tmp_path)
    with pytest.raises(ImageBuildError, match=r"@0123abc cannot be fetched: "):
        build(f"{address}@0123abc", tmp_path)
    with pytest.raises(ImageBuildError, match=r"has no folder outer; correct its `subdirectory`"):
        build(f"{address}#subdirectory=outer", tmp_path)


def test_package_that_reads_its_version_off_the_tags(tmp_path: Path) -> None:
    repository = write_package(tmp_path / "repository")
    describe = "import subprocess\nsubprocess.run(['git', 'describe', '--tags'], check=True)\n"
    backend = repository / "backend.py"
    backend.write_text(describe + backend.read_text())
    (repository / "setup.cfg").write_text("# of setuptools_scm\n")
    commit(repository)
    git(repository, "tag", "v7")
    address = f"git+{repository.as_uri()}"
    of_the_tag = build(f"{address}@v7", tmp_path)
    (repository / "own.py").write_text("X = 8\n")
    commit(repository)
    assert read_own(build(address, tmp_path)) == "X = 8\n"
    assert build(f"{address}@v7", tmp_path) == of_the_tag


def test_submodule_is_a_part_of_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an address that is relative to the package's own."""
    allowed = {"COUNT": "1", "KEY_0": "protocol.file.allow", "VALUE_0": "always"}
    for name, value in allowed.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    commit(write_package(tmp_path / "part", "X = 'of the part'\n"))
    whole = write_package(tmp_path / "whole")
    git(whole, "init", "-q", "-b", "main")
    git(whole, "submodule", "--quiet", "add", (tmp_path / "part").as_uri(), "part")
    git(whole, "config", "--file", ".gitmodules", "submodule.part.url", "../part")
    (whole / "own.py").unlink()
    (whole / "own.py").symlink_to("part/own.py")
    commit(whole)
    assert read_own(build(f"git+{whole.as_uri()}", tmp_path)) == "X = 'of the part'\n"


def test_address_of_a_repository_takes_a_secret_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_package(tmp_path / "repository")
    commit(tmp_path / "repository")
    monkeypatch.setenv("OWN_PLACE", (tmp_path / "repository").as_uri())
    assert read_own(build("own @ git+${OWN_PLACE}", tmp_path)) == "X = 1\n"
    with pytest.raises(ImageBuildError, match=r"\$\{OWN_PLACE\}@nowhere cannot be fetched"):
        build("own @ git+${OWN_PLACE}@nowhere", tmp_path)


def test_login_of_an_address_is_not_said(tmp_path: Path) -> None:
    with serve_index(tmp_path) as server:
        address = server.url.replace("://", "://ada:secret@")
        for line in (f"git+{address}/own@v1", f"{address}/files/own.zip"):
            with pytest.raises(ImageBuildError, match="cannot be fetched") as caught:
                build(line, tmp_path)
            assert "secret" not in str(caught.value)


def test_condition_is_asked_of_the_bases_python() -> None:
    older = Target("3.9", "aarch64-manylinux_2_31")
    for marker, wanted in (
        ("", True),
        ("python_version < '3.10'", True),
        ("sys_platform == 'win32'", False),
        ("platform_machine == 'x86_64'", False),
    ):
        assert is_wanted(Local("/own", marker=marker), older) == wanted
    with pytest.raises(ImageBuildError, match="which cannot be read; write a condition such as"):
        is_wanted(Local("/own", marker="if new"), older)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("./absent", "absent is not there; correct its path"),
        ("./empty", "empty is no package: it has none of pyproject.toml, setup.py; write one"),
        ("./absent-1.0-py3-none-any.whl", "is not there; build or fetch it again"),
        ("./one-1.0-cp38-cp38-linux_x86_64.whl", "linux_x86_64.whl is not for Python 3.11 on"),
        ("./one-1.0-py3-none-any.whl[more]", "has no extra called more; it has none"),
        ("two @ ./one-1.0-py3-none-any.whl", "is the package one and not two; write `one @"),
        ("./renamed.whl", "has not the name of a wheel"),
        ("./torn-1.0-py3-none-any.whl[more]", "cannot be read as a wheel; build or fetch"),
    ],
)
def test_what_cannot_be_used_is_said(tmp_path: Path, line: str, said: str) -> None:
    for tag in ("py3-none-any", "cp38-cp38-linux_x86_64"):
        make_wheel(tmp_path, "one", tag=tag)
    (tmp_path / "empty").mkdir()
    for name in ("renamed.whl", "torn-1.0-py3-none-any.whl"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(ImageBuildError) as caught:
        build(line, tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_build_that_fails_shows_its_last_lines(tmp_path: Path) -> None:
    write_package(tmp_path / "own")
    (tmp_path / "own/own.py").unlink()
    with pytest.raises(ImageBuildError, match=r"(?s)own cannot be built; its .*own\.py"):
        build("./own", tmp_path)

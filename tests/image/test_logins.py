"""Indexes and files that ask for a login: it is used where it is needed, and kept nowhere."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from kernelext.errors import ImageBuildError
from kernelext.image.choosing import Chooser
from kernelext.image.condapart import CondaPart
from kernelext.image.lines import read_lines
from kernelext.image.logins import Logins
from kernelext.image.notes import Notes
from kernelext.image.pyprojects import indexes_of
from kernelext.image.resolving import read_lock
from kernelext.image.wheelhouse import Wheelhouse
from kernelext.recipe import Wheel

from .packages import write_package
from .test_resolving import TARGET
from .wheels import Index, make_wheel

SECRET = "s3cr3t"
NAMED = {"UV_INDEX_OWN_ONE_USERNAME": "ada", "UV_INDEX_OWN_ONE_PASSWORD": SECRET}


@pytest.fixture
def locked(index: Index) -> Index:
    """An index of one distribution that asks for a login."""
    make_wheel(index.folder, "one")
    index.login = f"ada:{SECRET}"
    return index


def have(index: Index, project: Path, lines: list[str], more: Mapping[str, str]) -> str:
    """Choose and fetch what some lines want, as a build does; all that is said and kept of it."""
    environ = {**os.environ, "UV_NO_CACHE": "1", **more}
    wanted = read_lines([line.replace("HOST", host(index)) for line in lines], project, "r.txt")
    known = (*wanted.requirements, *indexes_of(project))
    house = Wheelhouse(project / "house", environ, known)
    said: list[str] = []
    chooser = Chooser(wanted, project, house, environ)
    lock = chooser.lock(TARGET, CondaPart(), "", said.append, lambda: None)
    found = house.fetch(Wheel, read_lock(lock, TARGET), said.append)
    assert [wheel.name for wheel in found] == ["one" if "one" in lines[-1] else "own"]
    return "\n".join([lock, *said])


def host(index: Index) -> str:
    """Where an index is."""
    return index.url.removeprefix("http://")


@pytest.mark.parametrize("login", [f"ada:{SECRET}", "ada:${TOK}", "${BOTH}"])
@pytest.mark.parametrize(
    "lines",
    [
        ("--index-url http://LOGIN@HOST/simple", "one"),
        ("--extra-index-url=http://LOGIN@HOST/simple", "one"),
        ("one @ http://LOGIN@HOST/files/one-1.0-py3-none-any.whl",),
    ],
)
def test_login_in_a_line(locked: Index, tmp_path: Path, login: str, lines: tuple[str, ...]) -> None:
    more = {"TOK": SECRET, "BOTH": f"ada:{SECRET}"}
    kept = have(locked, tmp_path, [line.replace("LOGIN", login) for line in lines], more)
    assert SECRET not in kept
    assert f"{locked.url}/files/one-1.0-py3-none-any.whl" in kept


def test_login_of_an_index_that_has_a_name(locked: Index, tmp_path: Path) -> None:
    by_name = {"UV_DEFAULT_INDEX": f"own-one={locked.url}/simple", **NAMED}
    assert SECRET not in have(locked, tmp_path, ["one"], by_name)
    shutil.rmtree(tmp_path / "house")
    setting = f'name = "own-one"\nurl = "{locked.url}/simple"\ndefault = true\n'
    (tmp_path / "pyproject.toml").write_text(f"[[tool.uv.index]]\n{setting}")
    assert SECRET not in have(locked, tmp_path, ["one"], NAMED)
    shutil.rmtree(tmp_path / "house")
    (tmp_path / "pyproject.toml").unlink()
    (tmp_path / "uv.toml").write_text(f"[[index]]\n{setting}")
    assert SECRET not in have(locked, tmp_path, ["one"], NAMED)


def test_nearest_login_of_a_host_is_taken() -> None:
    lines = [
        "--index-url https://a:1@x.example/first/simple",
        "own @ https://b:2@x.example/second/own-1.0-py3-none-any.whl",
        "--find-links https://[broken",
    ]
    logins = Logins({"UV_INDEX": "https://c:3@y.example/simple"}, lines)
    assert logins.of("https://x.example/first/files/one-1.0-py3-none-any.whl") == ("a", "1")
    assert logins.of("https://x.example/second/own-1.0-py3-none-any.whl") == ("b", "2")
    assert logins.of("https://y.example/files/one.whl") == ("c", "3")
    assert logins.of("https://z.example/files/one.whl") is None


def test_login_that_is_refused_is_said_with_the_way_out(locked: Index, tmp_path: Path) -> None:
    line = "--index-url http://ada:wrong5ecret@HOST/simple"
    with pytest.raises(ImageBuildError, match=r"lack of valid authentication .*401") as caught:
        have(locked, tmp_path, [line, "one"], {})
    assert "wrong5ecret" not in str(caught.value)
    locked.login = ""
    lock = have(locked, tmp_path, [line, "one"], {})
    locked.login = f"ada:{SECRET}"
    stranger = Wheelhouse(tmp_path / "other")
    with pytest.raises(
        ImageBuildError,
        match=r"one 1\.0 cannot be fetched: 127\.\S+ says 401 .*; give it a login .*TOKEN}@127",
    ):
        stranger.fetch(Wheel, read_lock(lock.partition("\nresolving")[0], TARGET), lambda _: None)


def test_archive_behind_a_login_or_with_a_token(locked: Index, tmp_path: Path) -> None:
    write_package(tmp_path / "tree/own-0.1", needs=())
    packed = shutil.make_archive(str(locked.folder / "own-0.1"), "gztar", tmp_path / "tree")
    name = Path(packed).name
    line = f"own @ http://ada:${{TOK}}@HOST/files/{name}"
    kept = have(locked, tmp_path, [line], {"TOK": SECRET})
    assert SECRET not in kept
    locked.login = ""
    kept = have(locked, tmp_path, [f"own @ http://HOST/files/{name}?token={SECRET}"], {})
    assert SECRET not in kept
    assert f"building {name}" in kept
    with pytest.raises(ImageBuildError, match=r"absent\.zip\?\.\.\. cannot be fetched") as caught:
        have(locked, tmp_path, [f"own @ http://HOST/files/absent.zip?token={SECRET}"], {})
    assert SECRET not in str(caught.value)


def test_notes_are_for_their_owner_alone(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "images/key.json", "digest", "project")
    notes.write({"wanted": "digest", "locks": {}})
    assert (tmp_path / "images/key.json").stat().st_mode & 0o777 == 0o600

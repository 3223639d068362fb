"""The project's image, built on hosts that reach no registry and no index."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kernelext.errors import (
    DiskFull,
    EngineError,
    ImageBuildError,
    ImageNotFound,
    RemoteCellError,
)
from kernelext.history import History
from kernelext.history.paths import history_path
from kernelext.link.client import DaemonClient
from kernelext.recipe import NAMESPACE

from ..image.packages import commit, write_package
from ..image.wheels import Index, make_wheel, serve_index, sha256
from ..lab.host import Host
from ..lab.images import NO_PYTHON_TAG, OTHER_TAG, PLAIN_TAG
from .conftest import check_nothing_left
from .interrupts import CtrlC
from .notebook import Notebook
from .scenes import Scene, small_host_disk
from .test_failures import fail, sentence

CELL = "%%remote {} --out said\nimport one\nsaid = one.VERSION"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """An index on this machine, which hosts do not reach."""
    folder = tmp_path / "index"
    folder.mkdir()
    with serve_index(folder) as served:
        for name, value in served.environ().items():
            monkeypatch.setenv(name, value)
        yield served


@pytest.fixture
def hosts(lab_names: list[Host]) -> Iterator[list[Host]]:
    """The lab's hosts; before and after the test they have no image of ours."""
    remove_images(lab_names)
    yield lab_names
    remove_images(lab_names)


def remove_images(hosts: list[Host]) -> None:
    """Remove what was built on hosts."""
    for host in hosts:
        check_nothing_left(host)  # a container keeps its image
        images = host.exec("docker", "images", "-q", f"{NAMESPACE}/*").stdout.split()
        if images:
            host.exec("docker", "rmi", "-f", *set(images))


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The requests that daemons are sent."""
    found: list[dict[str, Any]] = []
    send = DaemonClient.send

    def noted(self: DaemonClient, header: dict[str, Any], body: bytes = b"") -> Any:
        found.append(header)
        return send(self, header, body)

    monkeypatch.setattr(DaemonClient, "send", noted)
    return found


def operations(requests: list[dict[str, Any]]) -> list[str]:
    """What they ask for."""
    return sorted(header["op"] for header in requests)


def write_project(project: Path, *lines: str, base: str = PLAIN_TAG) -> None:
    """Ask for an image of some requirements."""
    (project / "requirements.txt").write_text("\n".join(lines))
    table = f'[image]\nbase = "{base}"\nfrom = "requirements.txt"\n'
    (project / "kernelext.toml").write_text(table)


def image_ids(host: Host) -> list[str]:
    """The ids of the projects' images on a host."""
    return host.exec("docker", "images", "-q", "--no-trunc", f"{NAMESPACE}/*").stdout.split()


def test_first_cell_builds_and_the_next_asks_for_nothing_more(
    lab_notebook: Notebook,
    project: Path,
    hosts: list[Host],
    index: Index,
    requests: list[dict[str, Any]],
) -> None:
    lab_notebook.check(f"%%remote host01 --image {PLAIN_TAG}\nx = 1")
    requests.clear()
    lab_notebook.check(f"%%remote host01 --image {PLAIN_TAG}\nx = 1")
    plain = operations(requests)
    make_wheel(index.folder, "one")
    write_project(project, "one")
    lab_notebook.check(CELL.format("host01"))
    assert lab_notebook.names["said"] == "1.0"
    requests.clear()
    lab_notebook.check(CELL.format("host01"))
    assert operations(requests) == plain
    with History.open(history_path(os.environ)) as history:
        (attempt,) = history.attempts(history.run("last").id)
    assert [attempt.image_digest] == image_ids(hosts[0])


def test_next_session_asks_for_nothing_more_than_any_image(
    project: Path, hosts: list[Host], index: Index, requests: list[dict[str, Any]]
) -> None:
    make_wheel(index.folder, "one")
    write_project(project, "one")
    with Notebook() as notebook:
        notebook.check(CELL.format("host01"))
    requests.clear()
    index.asked.clear()
    with Notebook() as notebook:
        notebook.check(CELL.format("host01"))
    assert operations(requests).count("image") == 1
    assert "build" not in operations(requests)
    assert not index.asked


def test_one_package_more_sends_one_wheel(
    lab_notebook: Notebook,
    project: Path,
    hosts: list[Host],
    index: Index,
    requests: list[dict[str, Any]],
    tmp_path: Path,
) -> None:
    for name in ("one", "two"):
        text = f"VERSION = {name!r}  # {tmp_path}: no host has seen it"
        make_wheel(index.folder, name, files={f"{name}.py": text})
    write_project(project, "one")
    lab_notebook.check(CELL.format("host01"))
    requests.clear()
    write_project(project, "one", "two")
    lab_notebook.check("%%remote host01\nimport one, two\nboth = one.VERSION + two.VERSION")
    assert lab_notebook.names["both"] == "onetwo"
    sent = [digest for header in requests for digest, _ in header.get("parts", ())]
    assert sent == [sha256(index.folder / "two-1.0-py3-none-any.whl")]


LATER = """
import sys
from pathlib import Path
from kernelext.cli import main
sys.exit(main(["image", "build", "--on", sys.argv[1]]))
"""


def test_same_image_on_two_hosts_at_two_dates(
    lab_notebook: Notebook, project: Path, hosts: list[Host], index: Index, tmp_path: Path
) -> None:
    files = {f"one/m{n}.py": f"X = {{'a', 'b', {n}}}\ndef f(): return 'a'\n" for n in range(20)}
    make_wheel(index.folder, "one", files={"one/__init__.py": "VERSION = 1\n", **files})
    make_wheel(index.folder, "two")
    write_project(project, "one")
    lab_notebook.check(CELL.format("host01"))
    write_project(project, "one", "two")
    lab_notebook.check(CELL.format("host01"))
    years_later = ["faketime", "2036-05-04 03:02:01", sys.executable, "-c", LATER, "host02"]
    subprocess.run(years_later, check=True, env={**os.environ, "KERNELEXT_DATA": str(tmp_path)})
    ids = set(image_ids(hosts[0]))
    assert len(ids) == 2
    assert len(set(image_ids(hosts[1])) & ids) == 1


def test_base_of_another_release(
    lab_notebook: Notebook, project: Path, hosts: list[Host], index: Index
) -> None:
    for tag in ("cp39-cp39-manylinux_2_17_x86_64", "cp311-cp311-manylinux_2_17_x86_64"):
        made_for = {"one.py": f"VERSION = {tag!r}\n"}
        make_wheel(index.folder, "one", tag=tag, files=made_for)
    write_project(project, "one", base=OTHER_TAG)
    lab_notebook.check(CELL.format("host01"))
    assert lab_notebook.names["said"] == "cp39-cp39-manylinux_2_17_x86_64"
    write_project(project, "one")
    lab_notebook.check(CELL.format("host01"))
    assert lab_notebook.names["said"] == "cp311-cp311-manylinux_2_17_x86_64"


def test_wheel_replaces_what_the_base_has(
    lab_notebook: Notebook, project: Path, hosts: list[Host], index: Index
) -> None:
    """Of the lab's image, whose virtual environment has joblib."""
    make_wheel(index.folder, "joblib", "99.0")
    write_project(project, "joblib==99.0", base="kernelext-lab:dev")
    lab_notebook.check(
        "%%remote host01\nimport importlib.metadata, os, joblib\n"
        "found = joblib.VERSION, importlib.metadata.version('joblib')\n"
        "old = os.path.exists(os.path.join(os.path.dirname(joblib.__file__), 'joblib'))\n"
        "names = [d.metadata['Name'] for d in importlib.metadata.distributions()]"
    )
    assert lab_notebook.names["found"] == ("99.0", "99.0")
    assert lab_notebook.names["names"].count("joblib") == 1
    assert not lab_notebook.names["old"]


def test_own_package_replaces_the_bases_of_the_same_version(
    lab_notebook: Notebook, project: Path, hosts: list[Host]
) -> None:
    base = "kernelext-lab:dev"
    asked = "import importlib.metadata\nversion = importlib.metadata.version('joblib')"
    lab_notebook.check(f"%%remote host01 --image {base}\n{asked}")
    version = lab_notebook.names["version"]
    make_wheel(project, "joblib", version, files={"joblib.py": "OWN = True\n"})
    write_project(project, f"./joblib-{version}-py3-none-any.whl", base=base)
    lab_notebook.check(f"%%remote host01\n{asked}\nimport joblib\nis_own = joblib.OWN")
    assert (lab_notebook.names["version"], lab_notebook.names["is_own"]) == (version, True)


def test_image_that_was_removed_is_built_again(
    lab_notebook: Notebook, project: Path, hosts: list[Host], index: Index
) -> None:
    make_wheel(index.folder, "one")
    write_project(project, "one")
    lab_notebook.check(CELL.format("host01"))
    before = image_ids(hosts[0])
    check_nothing_left(hosts[0])
    hosts[0].exec("docker", "rmi", *before)
    shown = fail(lab_notebook, CELL.format("host01"))
    assert "is not on the host any more; run the cell again" in sentence(shown)
    lab_notebook.check(CELL.format("host01"))
    assert image_ids(hosts[0]) == before
    lab_notebook.run("%unload_ext kernelext")
    check_nothing_left(hosts[0])
    hosts[0].exec("docker", "rmi", *before)
    lab_notebook.check("%load_ext kernelext")
    lab_notebook.check(CELL.format("host01"))
    assert image_ids(hosts[0]) == before


def test_image_named_in_the_cell_wins(
    lab_notebook: Notebook, project: Path, hosts: list[Host], index: Index
) -> None:
    write_project(project, "nowhere")
    lab_notebook.check(f"%%remote host01 --image {PLAIN_TAG}\nx = 1")
    assert lab_notebook.names["x"] == 1
    assert not image_ids(hosts[0])


def test_missing_module_names_the_command(
    lab_notebook: Notebook, project: Path, hosts: list[Host], index: Index
) -> None:
    shown = fail(lab_notebook, f"%%remote host01 --image {PLAIN_TAG}\nimport sklearn")
    assert isinstance(shown.error, RemoteCellError)
    assert isinstance(shown.error, ModuleNotFoundError)
    assert f"the image {PLAIN_TAG} has no sklearn" in shown.traceback
    Path(os.environ["KERNELEXT_CONFIG"]).write_text("")
    shown = fail(lab_notebook, "%%remote host01\nimport sklearn")
    assert "is installed here: `%remote image build --on host01` makes" in shown.traceback
    shown = fail(lab_notebook, "%%remote host01\nimport nothere")
    assert "nothere is not installed here either" in shown.traceback
    write_project(project)
    shown = fail(lab_notebook, "%%remote host01\nimport sklearn")
    assert "add scikit-learn to requirements.txt: the next cell brings it" in shown.traceback
    shown = fail(lab_notebook, "%%remote host01\nraise ModuleNotFoundError('mine')")
    assert "kernelext:" not in shown.traceback


def test_what_cannot_be_built_leaves_nothing(
    lab_notebook: Notebook, project: Path, hosts: list[Host], index: Index
) -> None:
    wheel = make_wheel(index.folder, "one", files={"one/../../escaped.py": ""})
    make_wheel(index.folder, "two", tag="cp38-cp38-manylinux_2_17_x86_64")
    write_project(project, "one")
    mistakes: list[tuple[list[str], str, type[Exception], str]] = [
        (["one"], PLAIN_TAG, EngineError, "one cannot be installed: a wheel that writes outside"),
        (["two"], PLAIN_TAG, ImageBuildError, "requirements.txt for Python 3.11 cannot be"),
        (["nowhere"], PLAIN_TAG, ImageBuildError, "nowhere was not found"),
        (["one"], NO_PYTHON_TAG, EngineError, f"the image {NO_PYTHON_TAG} has no python3"),
        (["one"], "absent:1", ImageNotFound, "absent:1 is not on the host"),
    ]
    for requirements, base, kind, said in mistakes:
        write_project(project, *requirements, base=base)
        shown = fail(lab_notebook, "%%remote host01\nx = 1")
        assert isinstance(shown.error, kind), repr(shown.error)
        assert said in sentence(shown)
    assert not image_ids(hosts[0])
    assert not hosts[0].exec("ls", "/var/lib/kernelext/builds").stdout
    wheel.unlink()


def test_no_space_on_the_host(
    lab_notebook: Notebook,
    project: Path,
    hosts: list[Host],
    index: Index,
    lab: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = os.urandom(4_000_000).hex()
    make_wheel(index.folder, "one", files={"one.py": f"VERSION = {text!r}\n"})
    write_project(project, "one")
    with small_host_disk(Scene(tmp_path, monkeypatch, lab)):
        shown = fail(lab_notebook, "%%remote host01\nx = 1")
        assert isinstance(shown.error, DiskFull) or "disk" in str(shown.error)


def test_interrupt_while_it_is_built(
    lab_notebook: Notebook, project: Path, hosts: list[Host], index: Index, tmp_path: Path
) -> None:
    lines = "\n".join(
        f"def f{n}(x):\n    return [x + i for i in range({n})]" for n in range(20_000)
    )
    make_wheel(
        index.folder, "one", files={f"one/m{n}.py": f"{lines}  # {tmp_path}" for n in range(4)}
    )
    write_project(project, "one")

    def is_building() -> bool:
        return bool(hosts[0].exec("docker", "ps", "-q", "--filter", "name=kernelext-build").stdout)

    with CtrlC(is_building):
        shown = lab_notebook.run("%%remote host01\nx = 1")
    assert isinstance(shown.error, KeyboardInterrupt)
    write_project(project)
    lab_notebook.check("%%remote host01\nx = 2")


def test_interrupt_while_the_index_does_not_answer(
    lab_notebook: Notebook, project: Path, hosts: list[Host], index: Index
) -> None:
    make_wheel(index.folder, "one")
    write_project(project, "one")
    index.is_silent = True
    for code in ("%%remote host01\nx = 1", "%remote image build --on host01"):
        index.reached.clear()
        begun_s = time.monotonic()
        with CtrlC(index.reached.is_set):
            shown = lab_notebook.run(code)
        assert isinstance(shown.error, KeyboardInterrupt), repr(shown.error)
        assert time.monotonic() - begun_s < 15
    index.is_silent = False
    lab_notebook.check(CELL.format("host01"))
    assert lab_notebook.names["said"] == "1.0"


def test_packages_that_no_index_has_come_again_after_gc(
    lab_notebook: Notebook, project: Path, hosts: list[Host], index: Index, tmp_path: Path
) -> None:
    for name in ("below", "plots", "two"):
        make_wheel(index.folder, name)
    (project / "dist").mkdir()
    for name in ("one", "three"):
        make_wheel(project / "dist", name)
    write_package(project / "packages/own", f"X = {str(tmp_path)!r}\n", extras={"plot": "plots"})
    write_package(tmp_path / "repository/inner", name="first", needs=())
    commit(tmp_path / "repository")
    (project / "more.txt").write_text("two\n")
    (project / "environment.yml").write_text(
        "dependencies:\n  - pip:\n    - -e ./packages/own[plot]\n    - -r more.txt\n"
        f"    - first @ git+{(tmp_path / 'repository').as_uri()}#subdirectory=inner\n"
        "    - ./dist/one-1.0-py3-none-any.whl\n"
    )
    (project / "kernelext.toml").write_text(
        f'[image]\nbase = "{PLAIN_TAG}"\nfrom = "environment.yml"\n'
        'packages = ["three @ file:./dist/three-1.0-py3-none-any.whl"]\n'
    )
    cell = (
        "%%remote host01 --out said\nimport below, first, one, own, plots, three, two\nsaid = own.X"
    )
    lab_notebook.check(cell)
    assert lab_notebook.names["said"] == str(tmp_path)
    before = image_ids(hosts[0])
    lab_notebook.run("%unload_ext kernelext")
    remove_images(hosts[:1])
    lab_notebook.check("%load_ext kernelext")
    kept = [f"/var/lib/kernelext/{name}" for name in ("blobs", "pieces")]
    hosts[0].exec("find", *kept, "-type", "f", "-exec", "touch", "-d", "2 days ago", "{}", "+")
    said = lab_notebook.check("%remote gc local host01 --older-than 0").stdout
    for what in ("wheels of images", "blobs", "pieces of images"):
        assert what in said
    lab_notebook.check(cell)
    assert image_ids(hosts[0]) == before


# the verbs


def test_images_are_listed_and_removed(
    lab_notebook: Notebook, project: Path, hosts: list[Host], index: Index
) -> None:
    for name in ("one", "two"):
        make_wheel(index.folder, name, "7.0")  # of which no other test's project has an image
    write_project(project, "one")
    on = "--on host01,host02"
    said = lab_notebook.check(f"%remote image build {on}").stdout
    assert "host01 has kernelext/env:" in said
    assert "1 wheels" in said
    write_project(project, "one", "two")
    lab_notebook.check("%remote image build --on host01")
    rows = lab_notebook.check(f"%remote image ls {on}").stdout.splitlines()[1:]
    assert [row.split()[0] for row in rows] == ["host01", "host01", "host02"]
    assert [str(project) in row for row in rows].count(True) == 1
    assert lab_notebook.check(f"%remote image rm --unused {on}").stdout.count("removed") == 2
    (row,) = lab_notebook.check(f"%remote image ls {on}").stdout.splitlines()[1:]
    assert "removed" in lab_notebook.check(f"%remote image rm {row.split()[1]} {on}").stdout
    assert lab_notebook.check(f"%remote image ls {on}").stdout == "no images\n"
    assert "nothing to remove" in lab_notebook.check(f"%remote image rm --unused {on}").stdout
    shown = fail(lab_notebook, "%remote image rm")
    assert "name images, as `image ls` does, or say --unused" in sentence(shown)


def test_image_is_saved_and_loaded_elsewhere(
    lab_notebook: Notebook, project: Path, hosts: list[Host], index: Index, tmp_path: Path
) -> None:
    make_wheel(index.folder, "one")
    write_project(project, "one")
    lab_notebook.check(CELL.format("host01"))
    file = tmp_path / "own.tar.gz"
    lab_notebook.check(f"%remote image save {file} --on host01")
    assert "kernelext/env:" in lab_notebook.check(f"%remote image load {file} --on host02").stdout
    assert image_ids(hosts[1]) == image_ids(hosts[0])
    with file.open("rb") as stream:
        hosts[2].exec("docker", "load", stdin=stream)
    assert image_ids(hosts[2]) == image_ids(hosts[0])
    (tmp_path / "no.tar").write_bytes(b"no tar at all")
    shown = fail(lab_notebook, f"%remote image load {tmp_path / 'no.tar'} --on host02")
    assert "no.tar is no image" in sentence(shown)
    shown = fail(lab_notebook, f"%remote image load {tmp_path / 'absent'} --on host02")
    assert "absent cannot be read" in sentence(shown)
    shown = fail(lab_notebook, f"%remote image save {tmp_path / 'x'} absent:1 --on host02")
    assert isinstance(shown.error, ImageNotFound)
    assert sorted(path.name for path in tmp_path.glob("*.new")) == []


def test_what_notebook_and_project_import(
    lab_notebook: Notebook, project: Path, hosts: list[Host]
) -> None:
    """In the versions of this machine, by the index that it uses: the one test that asks it."""
    optional = "try:\n    import nothere\nexcept ImportError:\n    pass\n"
    (project / "tools.py").write_text(f"import cloudpickle\n{optional}")
    lab_notebook.check("from packaging.version import Version")
    said = lab_notebook.check("%remote image build --on host01").stdout
    assert "not installed here, and left out: nothere" in said
    lab_notebook.check(
        "%%remote host01\nimport importlib.metadata, tools\nnumber = Version('1.5').minor\n"
        "names = ['cloudpickle', 'packaging', 'ipython']\n"
        "there = {name: importlib.metadata.version(name) for name in names}"
    )
    there = lab_notebook.names["there"]
    assert there == {name: importlib.metadata.version(name) for name in there}
    assert lab_notebook.names["number"] == 5


def test_python_that_the_base_has_not(
    lab_notebook: Notebook, project: Path, hosts: list[Host], index: Index
) -> None:
    channels = "channels: [./nowhere]"
    text = f"{channels}\ndependencies: [python=3.12, {{pip: [one]}}]\n"
    (project / "environment.yml").write_text(text)
    table = f'[image]\nbase = "{PLAIN_TAG}"\nfrom = "environment.yml"\n'
    (project / "kernelext.toml").write_text(table)
    shown = fail(lab_notebook, "%%remote host01\nx = 1")
    assert isinstance(shown.error, ImageBuildError)
    assert "asks for Python 3.12, and python:3.11-slim has 3.11.2" in sentence(shown)
    make_wheel(index.folder, "one")
    (project / "environment.yml").write_text(text.replace("3.12", "3.11"))
    lab_notebook.check(CELL.format("host01"))


def test_versions_that_differ_are_said_once(
    lab_notebook: Notebook, project: Path, hosts: list[Host], index: Index
) -> None:
    make_wheel(index.folder, "packaging", "0.1", files={"packaging/__init__.py": ""})
    write_project(project, "packaging==0.1")
    said = lab_notebook.check("%%remote host01\nimport packaging").stderr
    here = importlib.metadata.version("packaging")
    assert f"The image on host01 has packaging 0.1 ({here} here)" in said
    assert "packaging" not in lab_notebook.check("%%remote host01\nimport packaging").stderr


@pytest.mark.parametrize("host", ["local"], indirect=True)
def test_cells_that_need_no_image_do_not_ask_for_it(
    notebook: Notebook, host: str, project: Path
) -> None:
    (project / "kernelext.toml").write_text('[image]\nfrom = "absent.txt"\n')
    notebook.check("%%remote local\nx = 1")
    assert notebook.names["x"] == 1

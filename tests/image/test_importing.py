"""What a project imports, and by which distributions it is installed here."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import uv

from kernelext.errors import ImageBuildError
from kernelext.image.choosing import Chooser
from kernelext.image.condapart import CondaPart
from kernelext.image.importing import (
    distribution_of,
    distributions_by_module,
    environment_of,
    imports_of_project,
)
from kernelext.image.locals import requirement_of
from kernelext.image.resolving import read_lock
from kernelext.image.target import Target
from kernelext.image.wanted import Wanted
from kernelext.image.wheelhouse import Wheelhouse

from .packages import commit, write_package
from .test_resolving import TARGET
from .wheels import Index, make_wheel, sha256


def test_programs_and_notebooks_are_read(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own/deep.py").write_text("def f():\n    from scipy.stats import norm\n")
    (tmp_path / "tools.py").write_text("import numpy as np, own.deep\nfrom . import x\nimport os\n")
    (tmp_path / "broken.py").write_text("import (")
    cells = [
        {"cell_type": "code", "source": ["%%remote host01\n", "import tools\n", "import pandas"]},
        {"cell_type": "code", "source": "!pip list\nimport sklearn.svm"},
        {"cell_type": "markdown", "source": "import torch"},
        {"cell_type": "code", "source": "(not python"},
    ]
    (tmp_path / "nb.ipynb").write_text(json.dumps({"cells": cells}))
    (tmp_path / "empty.ipynb").write_text("")
    (tmp_path / "own/pandas.py").write_text("")
    files = [
        "own/pandas.py",
        "own/deep.py",
        "tools.py",
        "broken.py",
        "nb.ipynb",
        "empty.ipynb",
        "gone.py",
    ]
    found = imports_of_project(tmp_path, files)
    assert found == {"scipy", "numpy", "os", "pandas", "sklearn"}


@pytest.mark.parametrize(
    "cell",
    [
        "import numpy\nfiles = !ls",
        "import numpy\nnumpy?",
        "import numpy\nif True:\n    !pip list\nelse:\n    %cd x",
        "%matplotlib inline\nimport numpy",
        "%load_ext kernelext\n%history -n 3\nimport numpy",
        "%%time\nimport numpy",
        "%%remote host01 --out x\n%%time\nimport numpy\nx = !ls",
        "\n%%folds 0-4\nimport numpy\nif True:\n    %remote hosts",
        "text = '''\n%history\n'''\nimport numpy",
        "%time import numpy",
    ],
)
def test_lines_of_ipython_do_not_hide_what_a_cell_imports(tmp_path: Path, cell: str) -> None:
    cells = [{"cell_type": "code", "source": cell}]
    (tmp_path / "nb.ipynb").write_text(json.dumps({"cells": cells}))
    assert imports_of_project(tmp_path, ["nb.ipynb"]) == {"numpy"}


def test_script_of_another_language_imports_nothing(tmp_path: Path) -> None:
    cells = [{"cell_type": "code", "source": "%%bash\nimport numpy"}]
    (tmp_path / "nb.ipynb").write_text(json.dumps({"cells": cells}))
    assert imports_of_project(tmp_path, ["nb.ipynb"]) == set()


def test_distributions_come_in_the_versions_of_this_machine() -> None:
    found = environment_of({"sklearn", "numpy", "os", "nothere", "kernelext", "__main__"})
    version = importlib.metadata.version
    wanted = found.wanted.requirements
    assert found.unknown == ("nothere",)
    for name in ("scikit-learn", "numpy", "ipython", "blosc2"):
        assert f"{name}=={version(name)}" in wanted
    assert not [line for line in wanted if line.startswith("kernelext")]
    assert f"scipy=={version('scipy')}" in found.wanted.constraints
    assert "tables" in {line.partition("=")[0] for line in wanted}, "sparse matrices travel by it"
    assert found.wanted.digest == environment_of({"numpy", "sklearn", "nothere"}).wanted.digest


def test_frames_travel_by_a_library_that_the_cell_does_not_import() -> None:
    names = {line.partition("=")[0] for line in environment_of({"pandas"}).wanted.requirements}
    assert {"pandas", "pyarrow", "blosc2"} <= names


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Installs packages, without what they need, where this process finds them."""
    place = tmp_path / "venv"
    environ = {**os.environ, "UV_NO_CACHE": "1"}
    uv_bin = uv.find_uv_bin()
    subprocess.run([uv_bin, "venv", "-q", "-p", sys.executable, place], check=True, env=environ)

    def run(*words: str) -> None:
        command = [uv_bin, "pip", "install", "-q", "--no-index", "--no-deps", "--python", place]
        subprocess.run([*command, *words], check=True, env=environ)
        (site,) = place.glob("lib/python*/site-packages")
        monkeypatch.syspath_prepend(str(site))

    return run


def test_installed_from_a_folder_or_git_is_built_from_there(
    tmp_path: Path, install: Callable[..., None]
) -> None:
    editable = write_package(tmp_path / "with space/own", needs=("first", "second"))
    write_package(tmp_path / "repository/inner", name="first")
    write_package(tmp_path / "second", name="second")
    revision = commit(tmp_path / "repository")
    address = f"git+{(tmp_path / 'repository').as_uri()}"
    first = f"first @ {address}@main#subdirectory=inner"
    install("-e", str(editable), first, str(tmp_path / "second"))
    found = environment_of({"own"}).wanted
    assert {local.name: local.place for local in found.local} == {
        "own": str(editable),
        "first": f"{address}@{revision}#subdirectory=inner",
        "second": str(tmp_path / "second"),
    }
    names = {line.partition("=")[0] for line in (*found.requirements, *found.constraints)}
    assert not names & {"own", "first", "second"}
    house = tmp_path / "wheels"
    wheels = [requirement_of(local, house, TARGET, os.environ) for local in found.local]
    assert len({wheel.partition(" @ ")[0] for wheel in wheels}) == 3


def chosen(wanted: Wanted, index: Index, target: Target = TARGET) -> dict[str, str]:
    """The digests of the wheels that are chosen, by name and version."""
    environ = {**os.environ, **index.environ()}
    chooser = Chooser(wanted, index.folder, Wheelhouse(index.folder / "house"), environ)
    lock = chooser.lock(target, CondaPart(), "", lambda _: None, lambda: None)
    return {f"{pin.name} {pin.version}": pin.sha256 for pin in read_lock(lock, target)}


def test_installed_from_a_file_is_brought_from_there(
    tmp_path: Path, install: Callable[..., None], index: Index
) -> None:
    wheel = make_wheel(tmp_path, "one", "3.0", files={"one.py": "HERE = True"})
    folder = write_package(tmp_path / "tree/own-0.1", needs=())
    archive = Path(shutil.make_archive(str(tmp_path / "own-0.1"), "gztar", folder.parent))
    install(str(wheel), str(archive))
    found = replace(environment_of({"one", "own"}).wanted, requirements=())
    assert {local.place for local in found.local} == {str(wheel), str(archive)}
    assert Wanted.from_json(asdict(found)) == found
    make_wheel(index.folder, "one", "3.0")
    there = chosen(found, index)
    assert there["one 3.0"] == sha256(wheel)
    assert there.keys() == {"one 3.0", "own 0.1"}


def test_installed_from_a_file_that_is_gone_is_the_indexs(
    tmp_path: Path, install: Callable[..., None], index: Index
) -> None:
    wheel = make_wheel(tmp_path, "one", "3.0", files={"one.py": "HERE = True"})
    install(str(wheel))
    wheel.unlink()
    found = replace(environment_of({"one"}).wanted, requirements=())
    assert "one==3.0" in found.constraints
    make_wheel(index.folder, "one", "4.0")
    with pytest.raises(ImageBuildError) as caught:
        chosen(found, index)
    assert str(caught.value).startswith(f"one==3.0 was installed here from {wheel}, which is gone")
    assert "put the file back, or install one that the index has" in str(caught.value)
    theirs = make_wheel(index.folder, "one", "3.0")
    assert chosen(found, index) == {"one 3.0": sha256(theirs)}


def test_installed_from_a_file_for_this_machine_only(
    tmp_path: Path, install: Callable[..., None], index: Index
) -> None:
    own = f"cp{sys.version_info.major}{sys.version_info.minor}"
    wheel = make_wheel(tmp_path, "one", "3.0", tag=f"{own}-{own}-linux_x86_64")
    install(str(wheel))
    found = replace(environment_of({"one"}).wanted, requirements=())
    theirs = make_wheel(index.folder, "one", "3.0")
    assert chosen(found, index, Target("3.9", TARGET.platform)) == {"one 3.0": sha256(theirs)}
    same = Target(own.replace("cp3", "3."), TARGET.platform)
    assert chosen(found, index, same) == {"one 3.0": sha256(wheel)}


def test_package_of_a_folder_that_is_gone_is_the_indexs(
    tmp_path: Path, install: Callable[..., None], index: Index
) -> None:
    """As all are that conda has built."""
    install(str(write_package(tmp_path / "work", needs=())))
    shutil.rmtree(tmp_path / "work")
    theirs = make_wheel(index.folder, "own", "0.1")
    found = replace(environment_of({"own"}).wanted, requirements=())
    assert chosen(found, index) == {"own 0.1": sha256(theirs)}


def test_broken_installation_is_as_good_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, install: Callable[..., None]
) -> None:
    install(str(make_wheel(tmp_path, "one", "3.0")))
    broken = tmp_path / "site/broken-1.0.dist-info"
    broken.mkdir(parents=True)
    (broken / "RECORD").write_text("broken.py,,\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    found = environment_of({"broken", "one"})
    assert found.unknown == ("broken",)
    assert [local.name for local in found.wanted.local] == ["one"]
    assert distribution_of("broken") == ""
    assert distribution_of("one") == "one 3.0"


def test_modules_are_those_that_the_library_knows() -> None:
    theirs = importlib.metadata.packages_distributions()
    found = distributions_by_module()
    modules = {name for name in theirs if name.isidentifier()}
    assert {name: set(found.get(name, ())) for name in modules} == {
        name: set(theirs[name]) for name in modules
    }


def test_module_names_its_distribution() -> None:
    version = importlib.metadata.version("scikit-learn")
    assert distribution_of("sklearn") == f"scikit-learn {version}"
    assert distribution_of("nothere") == ""

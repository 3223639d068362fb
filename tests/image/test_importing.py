"""What a project imports, and by which distributions it is installed here."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path

import pytest

from kernelext.image.importing import distribution_of, environment_of, imports_of_project


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


def test_package_of_a_folder_is_built_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    info = tmp_path / "site/mine-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 0.1\n")
    url = {"url": source.as_uri(), "dir_info": {"editable": True}}
    (info / "direct_url.json").write_text(json.dumps(url))
    (info / "top_level.txt").write_text("mine\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    found = environment_of({"mine"}).wanted
    assert found.local == (str(source),)
    assert not [line for line in (*found.requirements, *found.constraints) if "mine" in line]


def test_module_names_its_distribution() -> None:
    version = importlib.metadata.version("scikit-learn")
    assert distribution_of("sklearn") == f"scikit-learn {version}"
    assert distribution_of("nothere") == ""

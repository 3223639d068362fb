"""What files of a project want."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import pytest
import uv

from kernelext.errors import ImageBuildError
from kernelext.image.reading import read_source
from kernelext.image.wanted import Local, Wanted

from .packages import commit, write_package
from .wheels import Index, make_wheel

OWN = "[project]\ndependencies = ['own']\n"
SOURCES = f"{OWN}[tool.uv.sources]\n"


def places(wanted: Wanted) -> list[str]:
    """Where what no index has is from."""
    return [local.place for local in wanted.local]


def test_requirements_with_what_they_include(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more/base.txt").write_text("numpy  # fast\n-c limits.txt\n")
    (tmp_path / "more/limits.txt").write_text("scipy<2\n")
    (tmp_path / "requirements.txt").write_text(
        "# ours\n-r more/base.txt\npandas[parquet] >= 2, \\\n  <3\n-e ./own\n../sibling\n"
        "--extra-index-url file:///packages#kept\n"
    )
    wanted = read_source(tmp_path, "requirements.txt")
    assert wanted.requirements == (
        "numpy",
        "pandas[parquet] >= 2,    <3",
        "--extra-index-url file:///packages#kept",
    )
    assert wanted.constraints == ("scipy<2",)
    assert places(wanted) == [str(tmp_path / "own"), str(tmp_path.parent / "sibling")]


def test_another_line_is_another_environment(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("numpy\n")
    before = read_source(tmp_path, "requirements.txt").digest
    assert read_source(tmp_path, "requirements.txt").digest == before
    file.write_text("numpy\nhumanize\n")
    assert read_source(tmp_path, "requirements.txt").digest != before


def test_pyproject(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["numpy", "pandas>2"]\n')
    assert read_source(tmp_path, "pyproject.toml").requirements == ("numpy", "pandas>2")


def test_pyproject_says_which_pythons_may_be(tmp_path: Path) -> None:
    text = '[project]\nname = "own"\nversion = "1"\nrequires-python = ">=3.10, <4"\n'
    (tmp_path / "pyproject.toml").write_text(f"{text}dependencies = []\n")
    asked = read_source(tmp_path, "pyproject.toml")
    assert asked.takes_python("3.11.2")
    assert not asked.takes_python("3.9.2")
    subprocess.run([uv.find_uv_bin(), "lock", "-q", "--offline"], cwd=tmp_path, check=True)
    locked = read_source(tmp_path, "uv.lock")
    assert (locked.takes_python("3.11.2"), locked.takes_python("3.9.2")) == (True, False)
    assert Wanted.from_json(asdict(locked)) == locked


def test_pyproject_that_takes_packages_from_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "members/third").mkdir(parents=True)
    (tmp_path / "members/third/pyproject.toml").write_text(
        '[project]\nname = "third"\ndependencies = ["deep", "first", "numpy"]\n'
        '[tool.uv.sources]\ndeep = { path = "../deep" }\nfirst = { path = "../other" }\n'
    )
    (tmp_path / "pyproject.toml").write_text(
        "[project]\n"
        'dependencies = ["numpy", "first[fast]>=1", "second; os_name == \'posix\'", "Third",\n'
        '  "fourth @ git+https://x.example/fourth@v1", "fifth @ file:./fifth", "sixth"]\n'
        '[tool.uv.workspace]\nmembers = ["members/*"]\n'
        "[tool.uv.sources]\n"
        'first = { git = "https://x.example/first", tag = "v1", subdirectory = "python" }\n'
        'second = [{ path = "../second", marker = "sys_platform == \'linux\'" }]\n'
        'third = { workspace = true }\nsixth = { path = "new/sixth", extra = "new" }\n'
    )
    wanted = read_source(tmp_path, "pyproject.toml")
    assert wanted.requirements == ("numpy", "sixth")
    condition = "(os_name == \"posix\") and (sys_platform == 'linux')"
    assert wanted.local == (
        Local("git+https://x.example/first@v1#subdirectory=python", "first", ("fast",)),
        Local(str(tmp_path.parent / "second"), "second", (), condition),
        Local(str(tmp_path / "members/third"), "Third"),
        Local("git+https://x.example/fourth@v1", "fourth"),
        Local(str(tmp_path / "fifth"), "fifth"),
        Local(str(tmp_path / "members/deep"), "deep"),
    )


@pytest.mark.parametrize("entry", ['{ index = "own" }', "{ workspace = true }"])
def test_source_that_only_a_lock_says(tmp_path: Path, entry: str) -> None:
    (tmp_path / "pyproject.toml").write_text(
        f'[project]\ndependencies = ["first"]\n[tool.uv.sources]\nfirst = {entry}\n'
    )
    with pytest.raises(ImageBuildError, match=r"takes first .* only a lock says: run `uv lock"):
        read_source(tmp_path, "pyproject.toml")


def test_environment_of_conda(tmp_path: Path) -> None:
    file = tmp_path / "environment.yml"
    head = "name: x\nchannels: [./own, bioconda]\ndependencies:\n"
    file.write_text(f"{head}  - python=3.11\n  - pip\n  - pip:\n    - numpy<3\n    - tqdm\n")
    wanted = read_source(tmp_path, "environment.yml")
    assert (wanted.requirements, wanted.python) == (("numpy<3", "tqdm"), "3.11")
    assert wanted.conda == ("python=3.11", "pip")
    assert wanted.channels == ((tmp_path / "own").as_uri(), "bioconda")
    assert not wanted.conda_names
    file.write_text(f"{head}  - conda-forge::python >=3.9\n  - pip: [tqdm]\n")
    assert read_source(tmp_path, "environment.yml").python == ""
    file.write_text("dependencies: [numpy=1.26, pytorch::torch, {pip: [tqdm]}]\n")
    wanted = read_source(tmp_path, "environment.yml")
    assert wanted.conda_names == {"numpy", "torch"}
    assert (wanted.conda, wanted.channels) == (("numpy=1.26", "pytorch::torch"), ())
    assert Wanted.from_json(asdict(wanted)) == wanted


@pytest.mark.parametrize("name", [".binder", "needs/environment.yml", "needs/requirements.txt"])
def test_packages_are_relative_to_the_project_else_to_the_file(tmp_path: Path, name: str) -> None:
    project = write_package(tmp_path / "project")
    path = project / name
    folder = path if name == ".binder" else path.parent
    folder.mkdir()
    write_package(project / "own")
    write_package(folder / "beside")
    lines = ["-e .", "./own", "./beside", "-r more.txt"]
    if path.suffix == ".yml":
        path.write_text(json.dumps({"dependencies": [{"pip": lines}]}))
    else:
        (folder / "requirements.txt").write_text("\n".join(lines))
    (folder / "more.txt").write_text("./own[dev]\n--find-links wheels\n./absent\n")
    (folder / "wheels").mkdir()
    wanted = read_source(project, name)
    own = str(project / "own")
    beside, absent = str(folder / "beside"), str(project / "absent")
    assert places(wanted) == [str(project), own, beside, own, absent]
    assert wanted.requirements == (f"--find-links {(folder / 'wheels').as_uri()}",)


def test_pip_part_has_all_that_a_requirements_file_has(tmp_path: Path) -> None:
    (tmp_path / "requirements").mkdir()
    write_package(tmp_path / "sibling")
    (tmp_path / "requirements/base.txt").write_text("numpy\n-e ../sibling\n")
    (tmp_path / "limits.txt").write_text("scipy<2\n")
    (tmp_path / "environment.yml").write_text(
        "dependencies:\n  - python=3.11\n  - pip:\n"
        "    - -r requirements/base.txt\n    - -c limits.txt\n    - -e .[dev]\n"
        "    - ./pkg ; python_version < '3.10'\n    - git+https://x.example/a@main\n"
        "    - b[fast] @ git+ssh://git@x.example/b.git@v1\n    - ./dist/foo-1.0-py3-none-any.whl\n"
        "    - --extra-index-url https://x.example/simple\n    - --find-links ./wheels\n"
    )
    wanted = read_source(tmp_path, "environment.yml")
    assert wanted.requirements == (
        "numpy",
        "--extra-index-url https://x.example/simple",
        f"--find-links {(tmp_path / 'wheels').as_uri()}",
    )
    assert (wanted.constraints, wanted.python) == (("scipy<2",), "3.11")
    assert wanted.local == (
        Local(str(tmp_path / "sibling")),
        Local(str(tmp_path), extras=("dev",)),
        Local(str(tmp_path / "pkg"), marker="python_version < '3.10'"),
        Local("git+https://x.example/a@main"),
        Local("git+ssh://git@x.example/b.git@v1", "b", ("fast",)),
        Local(str(tmp_path / "dist/foo-1.0-py3-none-any.whl")),
    )


def test_lock_says_exact_versions(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in index.environ().items():
        monkeypatch.setenv(name, value)
    make_wheel(index.folder, "below", "1.0")
    make_wheel(index.folder, "above", needs=("below",))
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "own"\nversion = "1"\nrequires-python = ">=3.9"\n'
        'dependencies = ["above"]\n'
    )
    subprocess.run([uv.find_uv_bin(), "lock", "-q"], cwd=tmp_path, env=os.environ, check=True)
    make_wheel(index.folder, "below", "2.0")
    for source in ("pyproject.toml", "uv.lock"):
        wanted = read_source(tmp_path, source)
        assert wanted.requirements == ("above==1.0", "below==1.0")
        assert wanted.source == source


def test_lock_with_packages_from_elsewhere(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in index.environ().items():
        monkeypatch.setenv(name, value)
    wheel = make_wheel(tmp_path, "ready")
    metadata = '[project]\nname = "own"\nversion = "0.1"\ndependencies = []\n'
    for folder in (tmp_path / "own", tmp_path / "repository"):
        write_package(folder)
        with (folder / "pyproject.toml").open("a") as file:
            file.write(metadata.replace("own", folder.name))
    revision = commit(tmp_path / "repository")
    address = (tmp_path / "repository").as_uri()
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "all"\nversion = "1"\nrequires-python = ">=3.9"\n'
        'dependencies = ["own", "ready", "repository"]\n[tool.uv.sources]\n'
        f'own = {{ path = "own", editable = true }}\nready = {{ path = "{wheel.name}" }}\n'
        f'repository = {{ git = "{address}" }}\n'
    )
    before = places(read_source(tmp_path, "pyproject.toml"))
    subprocess.run([uv.find_uv_bin(), "lock", "-q"], cwd=tmp_path, env=os.environ, check=True)
    wanted = read_source(tmp_path, "pyproject.toml")
    assert wanted.requirements == ()
    assert before == [str(tmp_path / "own"), str(wheel), f"git+{address}"]
    assert places(wanted) == [*before[:2], f"git+{address}@{revision}"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("absent.txt", None, "takes its packages from absent.txt, which is not there; write it"),
        ("setup.cfg", "", "names setup.cfg, which is none of requirements.txt"),
        ("pyproject.toml", "[tool.x]\n", "has no [project] with `dependencies`"),
        ("pyproject.toml", "[", "pyproject.toml cannot be read"),
        (
            "pyproject.toml",
            '[project]\ndependencies = []\nrequires-python = "three"\n',
            "has `requires-python = 'three'`, which cannot be read; write a condition such as",
        ),
        ("uv.lock", "nonsense", "uv.lock cannot be read"),
        ("environment.yml", "dependencies: 3", "cannot be read as an environment of conda"),
        ("environment.yml", "dependencies: ['>=2']", "asks for '>=2', which is no package of"),
        ("environment.yml", "a: [", "cannot be read as an environment of conda"),
        ("requirements.txt", "-r absent.txt", "absent.txt cannot be read"),
        ("requirements.txt", "-r requirements.txt", "is included by itself"),
        ("requirements.txt", "-c limits.txt", "'./own', which says where a package is from: write"),
        ("requirements.txt", "own @ https://a:s3cr3t@[bad/x", "https://[bad/x is no address ("),
        (
            "requirements.txt",
            "-e git+https://[bad/x.tar.gz",
            "is no address (Invalid IPv6 URL); cor",
        ),
        ("pyproject.toml", "project = 3", "has a `project` that is no table; write [project]"),
        ("pyproject.toml", f"{OWN}[tool]\nuv = 3", "has a `tool.uv` that is no table; write"),
        ("pyproject.toml", f"{SOURCES}own = 'x'", "takes own in [tool.uv.sources] from 'x', which"),
        ("pyproject.toml", f"{SOURCES}own = [3]", "from 3, which is no source; write such as `own"),
        (
            "pyproject.toml",
            f"{SOURCES}own = {{ path = 3 }}",
            "from {'path': 3}, which is no source",
        ),
        ("environment.yml", "dependencies: [{pip: [-r absent.txt]}]", "absent.txt cannot be read"),
    ],
)
def test_what_cannot_be_read_is_said(
    tmp_path: Path, name: str, text: str | None, said: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    (tmp_path / "limits.txt").write_text("./own\n")
    with pytest.raises(ImageBuildError) as caught:
        read_source(tmp_path, name)
    assert said in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_folder_as_repo2docker_has_it(tmp_path: Path) -> None:
    folder = tmp_path / ".binder"
    folder.mkdir()
    with pytest.raises(ImageBuildError, match=r"none of requirements\.txt, .* and Dockerfile"):
        read_source(tmp_path, ".binder")
    (folder / "apt.txt").write_text("# programs\nfiglet  tree\nlibgl1 # for plots\n")
    assert read_source(tmp_path, ".binder").apt == ("figlet", "tree", "libgl1")
    (folder / "requirements.txt").write_text("numpy\n")
    assert read_source(tmp_path, ".binder").requirements == ("numpy",)
    (folder / "runtime.txt").write_text("python-3.11\n")
    assert read_source(tmp_path, ".binder").python == "3.11"
    text = "channels: [./own]\ndependencies: [r-base >=4, {pip: [tqdm]}]\n"
    (folder / "environment.yml").write_text(text)
    found = read_source(tmp_path, ".binder")
    assert (found.requirements, found.python) == (("tqdm",), "3.11")
    assert found.conda == ("r-base >=4", "python=3.11")
    assert found.channels == ((folder / "own").as_uri(),)
    (folder / "runtime.txt").write_text("r-4.2-2023-01-01\n")
    with pytest.raises(ImageBuildError, match=r"runtime\.txt of \.binder says 'r-4\.2-2023"):
        read_source(tmp_path, ".binder")
    for name in ("start", "install.R"):
        (folder / name).touch()
    with pytest.raises(ImageBuildError, match=r"\.binder has install\.R, start, of which no"):
        read_source(tmp_path, ".binder")


def test_script_and_what_lies_beside_it(tmp_path: Path) -> None:
    """They are another environment when one of them is another, or another file is there."""
    folder = tmp_path / "binder"
    folder.mkdir()
    (folder / "postBuild").write_text("true\n")
    first = read_source(tmp_path, "binder")
    assert first.script is not None
    assert (first.script.root, first.script.start) == (str(folder), "postBuild")
    assert read_source(tmp_path, "binder").digest == first.digest
    (tmp_path / "data.csv").write_text("1")
    assert read_source(tmp_path, "binder").digest == first.digest
    (folder / "words.txt").write_text("1")
    assert read_source(tmp_path, "binder").digest != first.digest


def test_dockerfile_and_what_it_may_copy(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM x\n")
    (tmp_path / ".gitignore").write_text("data.csv\n")  # of which Docker knows nothing
    found = [read_source(tmp_path, "Dockerfile")]
    for name, text in (
        ("data.csv", "1"),
        (".dockerignore", "data.csv\nDockerfile\n"),
        ("data.csv", "2"),
        ("Dockerfile", "FROM y\n"),
    ):
        (tmp_path / name).write_text(text)
        found.append(read_source(tmp_path, "Dockerfile"))
    same = [before.digest == after.digest for before, after in pairwise(found)]
    assert same == [False, False, True, False]
    with pytest.raises(ImageBuildError, match=r"would be built from \d+ bytes of .* upload"):
        read_source(tmp_path, "Dockerfile", 3)


def test_dockerfile_of_a_folder_wins(tmp_path: Path) -> None:
    folder = tmp_path / ".binder"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM x\n")
    (folder / "start").touch()
    found = read_source(tmp_path, ".binder")
    assert found.dockerfile is not None
    assert (found.dockerfile.root, found.dockerfile.start) == (str(tmp_path), ".binder/Dockerfile")
    assert not found.has_packages

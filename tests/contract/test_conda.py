"""Packages of conda in the project's image, on hosts that reach no channel."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernelext.errors import EngineError, ImageBuildError
from kernelext.recipe import CONDA_PREFIX, NAMESPACE

from ..image.condas import PLACEHOLDER, Conda, make_channel
from ..image.wheels import Index, make_wheel, serve_index
from ..lab.host import Host
from ..lab.images import OTHER_TAG, PLAIN_TAG
from .condapython import python_of
from .notebook import Notebook
from .test_debs import LATER, image_ids
from .test_failures import fail, sentence

pytestmark = pytest.mark.timeout(300)

HELLO = Conda(
    "hello",
    files={
        "bin/hello": f"#!/bin/sh\ncat {PLACEHOLDER}/share/hello.txt\n",
        "bin/cat": "#!/bin/sh\necho never\n",
        "share/hello.txt": "hello from a package",
    },
    links={"bin/hi": "hello"},
)
PURE = Conda(
    "py-pure",
    "2.0",
    needs=("python",),
    files={
        "site-packages/pure.py": "VERSION = '2.0'\ndef main(): print('pure says', VERSION)\n",
        "site-packages/pure-2.0.dist-info/METADATA": "Name: pure\nVersion: 2.0\n",
    },
    noarch="python",
    commands=("run-pure = pure:main",),
)
SCRIPTED = Conda(
    "scripted",
    "3.1",
    "h0_7",
    needs=("hello",),
    files={
        "bin/.scripted-post-link.sh": (
            'mkdir "$PREFIX/etc"\n'
            'echo "$PKG_NAME $PKG_VERSION $PKG_BUILDNUM: $(hello)" > "$PREFIX/etc/scripted.txt"\n'
            'echo read me > "$PREFIX/.messages.txt"\n'
        )
    },
)
JAVA = Conda(
    "java",
    files={
        "etc/conda/activate.d/java.sh": (
            'if [[ -n $CONDA_PREFIX ]]; then export JAVA_HOME="$CONDA_PREFIX/jvm"; fi\n'
            "export OLDPWD=/nowhere PATH=$JAVA_HOME/bin:$PATH\n"
        ),
        "etc/conda/env_vars.d/java.json": '{"JAVA_KIND": "open"}',
    },
)
# What the other release's Python needs and this one has in another version.
LIBRARIES = [
    f"lib/x86_64-linux-gnu/{name}" for name in ("libffi.so.7", "libssl.so.1.1", "libcrypto.so.1.1")
]


@pytest.fixture
def hosts(lab_names: list[Host]) -> Iterator[list[Host]]:
    """The lab's hosts; after the test they have no image of a project."""
    yield lab_names
    for host in lab_names:
        images = host.exec("docker", "images", "-q", f"{NAMESPACE}/*").stdout.split()
        if images:
            host.exec("docker", "rmi", "-f", *set(images))


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """An index on this machine, which hosts do not reach."""
    folder = tmp_path / "index"
    folder.mkdir()
    with serve_index(folder) as served:
        for name, value in served.environ().items():
            monkeypatch.setenv(name, value)
        yield served


def other_python(host: Host) -> Conda:
    """A Python that is not that of the base."""
    return python_of(host, OTHER_TAG, "3.9", LIBRARIES)


def write_project(project: Path, channel: str, *lines: str, base: str = PLAIN_TAG) -> None:
    """Ask for an image of an environment of conda's."""
    needs = "".join(f"  - {line}\n" for line in lines)
    text = f"channels: ['{channel}']\ndependencies:\n{needs}"
    (project / "environment.yml").write_text(text)
    table = f'[image]\nbase = "{base}"\nfrom = "environment.yml"\n'
    (project / "kernelext.toml").write_text(table)


def check_nothing_left(host: Host) -> None:
    """Assert that a host has no folder of a build and no image that others were made in."""
    assert not host.exec("ls", "/var/lib/kernelext/builds").stdout
    assert not host.exec("docker", "images", "-q", f"{NAMESPACE}/ground").stdout
    assert not host.exec("docker", "images", "-q", "--filter", "dangling=true").stdout


def test_programs_of_packages_lie_behind_those_of_the_base(
    lab_notebook: Notebook, project: Path, hosts: list[Host], index: Index, tmp_path: Path
) -> None:
    make_wheel(index.folder, "one")
    channel = make_channel(tmp_path / "channel", HELLO)
    write_project(project, channel, "hello >=1", "pip: [one]")
    lab_notebook.check(
        "%%remote host01\nimport one, os, subprocess, sys\n"
        "said = subprocess.run('hi', capture_output=True, text=True, check=True).stdout\n"
        "found = (one.VERSION, sys.prefix, os.environ['CONDA_PREFIX'])"
    )
    assert lab_notebook.names["said"] == "hello from a package"
    assert lab_notebook.names["found"] == ("1.0", "/usr", CONDA_PREFIX)
    check_nothing_left(hosts[0])


def test_python_of_conda_is_the_images(
    lab_notebook: Notebook, project: Path, hosts: list[Host], index: Index, tmp_path: Path
) -> None:
    for version in ("2.0", "9.0"):
        make_wheel(index.folder, "pure", version)
    make_wheel(index.folder, "one", needs=("pure",), scripts={"run-one": "one:main"})
    channel = make_channel(tmp_path / "channel", other_python(hosts[0]), PURE)
    write_project(project, channel, "py-pure", "pip: [one, pure]")
    said = lab_notebook.check("%remote image build --on host01").stdout
    assert "1 wheels" in said
    assert "2 packages of conda" in said
    lab_notebook.check(
        "%%remote host01\nimport json, one, os, pure, subprocess, sys\n"
        "places = (sys.prefix, os.path.dirname(one.__file__))\n"
        "code = [os.path.exists(each.__spec__.cached) for each in (one, json, pure)]\n"
        "def say(command):\n"
        "    return subprocess.run(command, capture_output=True, text=True, check=True).stdout\n"
        "said = (pure.VERSION, say('run-pure'), say(['sh', '-c', 'command -v run-one']))"
    )
    site = f"{CONDA_PREFIX}/lib/python3.9/site-packages"
    assert lab_notebook.names["places"] == (CONDA_PREFIX, site)
    assert lab_notebook.names["code"] == [True, True, True]
    assert lab_notebook.names["said"] == (
        *("2.0", "pure says 2.0\n"),
        f"{CONDA_PREFIX}/bin/run-one\n",
    )
    check_nothing_left(hosts[0])


def test_wheel_replaces_what_a_package_has(
    lab_notebook: Notebook, project: Path, hosts: list[Host], index: Index, tmp_path: Path
) -> None:
    make_wheel(index.folder, "pure", "9.0")
    files = {**PURE.files, "site-packages/pure-2.0.dist-info/RECORD": "pure.py,,\nold.py,,\n"}
    files["site-packages/old.py"] = "X = 1\n"
    files["site-packages/pure-2.0.dist-info/RECORD"] = (
        "pure.py,,\nold.py,,\npure-2.0.dist-info/METADATA,,\npure-2.0.dist-info/RECORD,,\n"
    )
    old = Conda("py-pure", "2.0", needs=("python",), files=files, noarch="python")
    channel = make_channel(tmp_path / "channel", other_python(hosts[0]), old)
    write_project(project, channel, "py-pure", "pip: ['pure>2']")
    lab_notebook.check(
        "%%remote host01\nimport importlib.metadata as m, importlib.util as u, pure\n"
        "found = (pure.VERSION, m.version('pure'), u.find_spec('old'))"
    )
    assert lab_notebook.names["found"] == ("9.0", "9.0", None)


@pytest.mark.parametrize("base", [PLAIN_TAG, OTHER_TAG])
def test_same_image_on_two_hosts(
    lab_notebook: Notebook,
    project: Path,
    hosts: list[Host],
    index: Index,
    tmp_path: Path,
    base: str,
) -> None:
    """Also with what scripts write and set, on another day, and after another image."""
    make_wheel(index.folder, "one")
    channel = make_channel(tmp_path / "channel", HELLO, SCRIPTED, JAVA)
    write_project(project, channel, "hello", base=base)
    lab_notebook.check("%remote image build --on host01")
    write_project(project, channel, "scripted", "java", "pip: [one]", base=base)
    lab_notebook.check("%remote image build --on host01")
    lab_notebook.check(
        "%%remote host01\nimport one, os\nfrom pathlib import Path\n"
        "java = [os.environ.get(name) for name in ('JAVA_HOME', 'JAVA_KIND', 'OLDPWD')]\n"
        "first = os.environ['PATH'].partition(':')[0]\n"
        f"said = Path('{CONDA_PREFIX}/etc/scripted.txt').read_text()\n"
        f"left = Path('{CONDA_PREFIX}/.messages.txt').exists()"
    )
    assert lab_notebook.names["said"] == "scripted 3.1 7: hello from a package\n"
    assert not lab_notebook.names["left"]
    assert lab_notebook.names["java"] == [f"{CONDA_PREFIX}/jvm", "open", None]
    assert lab_notebook.names["first"] == f"{CONDA_PREFIX}/jvm/bin"
    later = ["faketime", "2027-05-04 03:02:01", sys.executable, "-c", LATER, "host02"]
    subprocess.run(later, check=True, env={**os.environ, "KERNELEXT_DATA": str(tmp_path)})
    (image,) = image_ids(hosts[1])
    assert image in image_ids(hosts[0])


def test_python_that_the_base_has_not(
    lab_notebook: Notebook, project: Path, hosts: list[Host], index: Index, tmp_path: Path
) -> None:
    make_wheel(index.folder, "one", tag="cp39-cp39-manylinux_2_17_x86_64")
    channel = make_channel(tmp_path / "channel", other_python(hosts[0]))
    write_project(project, channel, "python=3.9", "pip: [one]")
    lab_notebook.check(
        "%%remote host01\nimport one, sys\nfound = (one.VERSION, sys.version_info[:2])"
    )
    assert lab_notebook.names["found"] == ("1.0", (3, 9))


def test_what_cannot_be_installed_is_said(
    lab_notebook: Notebook, project: Path, hosts: list[Host], tmp_path: Path
) -> None:
    failing = "echo no such luck\nexit 3\n"
    channel = make_channel(
        tmp_path / "channel",
        HELLO,
        Conda("broken", files={"bin/.broken-post-link.sh": failing}),
        Conda("leaves", files={"etc/conda/activate.d/leaves.sh": "echo bye\nexit 4\n"}),
        Conda("outside", files={"../../etc/passwd": "me"}),
    )
    mistakes: list[tuple[str, str, type[Exception], str]] = [
        (channel, "nothere", ImageBuildError, "No candidates were found for nothere"),
        ("file:///not/there", "hello", ImageBuildError, "of which one cannot be read"),
        (channel, "outside", EngineError, "outside cannot be installed: a package that writes"),
        (channel, "broken", EngineError, "no such luck"),
        (channel, "leaves", EngineError, "conda's packages cannot be activated (bye)"),
    ]
    for address, spec, kind, said in mistakes:
        write_project(project, address, spec)
        shown = fail(lab_notebook, "%%remote host01\nx = 1")
        assert isinstance(shown.error, kind), repr(shown.error)
        assert said in (str(shown.error) if spec == "broken" else sentence(shown))
        check_nothing_left(hosts[0])
    assert not image_ids(hosts[0])
    write_project(project, channel, "hello")
    lab_notebook.check("%%remote host01\nx = 2")

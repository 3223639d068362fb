"""What is chosen from channels of conda, and what is said when nothing can be."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kernelext.errors import ImageBuildError
from kernelext.image.conda import Record, channels_of, resolve_conda
from kernelext.image.condapart import fetch_conda_part
from kernelext.image.wanted import Wanted
from kernelext.image.wheelhouse import Wheelhouse

from .condas import Conda, make_channel

PLATFORM = "x86_64-manylinux_2_36"


def resolve(
    folder: Path, *specs: str, channels: tuple[str, ...], earlier: list[Record] | None = None
) -> list[Record]:
    """Resolve against channels alone."""
    wanted = Wanted("environment.yml", conda=specs, channels=channels)
    return resolve_conda(wanted, PLATFORM, folder / "cache", os.environ, earlier or ())


def chosen(records: list[Record]) -> list[str]:
    return [f"{record['name']} {record['version']}" for record in records]


def test_what_is_needed_comes_first(tmp_path: Path) -> None:
    channel = make_channel(
        tmp_path / "own",
        Conda("above", needs=("below >=2", "middle", "__glibc >=2.17,<3")),
        Conda("below", "1.0"),
        Conda("below", "2.0", form=".tar.bz2"),
        Conda("middle", needs=("below",), noarch="generic"),
        Conda("other"),
    )
    found = resolve(tmp_path, "above", channels=(channel,))
    assert chosen(found) == ["below 2.0", "middle 1.0", "above 1.0"]
    assert found[0]["url"].endswith("/linux-64/below-2.0-0.tar.bz2")


def test_first_channel_wins_unless_a_package_names_another(tmp_path: Path) -> None:
    one = make_channel(tmp_path / "one", Conda("tool", "1.0"))
    two = make_channel(tmp_path / "two", Conda("tool", "2.0"), Conda("more"))
    assert chosen(resolve(tmp_path, "tool", channels=(one, two))) == ["tool 1.0"]
    assert chosen(resolve(tmp_path, "tool", channels=(two, one))) == ["tool 2.0"]
    for channels in ((one, two), (one,)):
        assert chosen(resolve(tmp_path, f"{two}::tool", channels=channels)) == ["tool 2.0"]
    assert chosen(resolve(tmp_path, "more", channels=("nodefaults", one, two))) == ["more 1.0"]


def test_names_of_channels() -> None:
    def names(*channels: str) -> list[str]:
        return [str(each.name) for each in channels_of(Wanted("x", channels=channels))]

    assert names() == names("nodefaults") == ["conda-forge"]
    assert names("bioconda", "conda-forge", "bioconda") == ["bioconda", "conda-forge"]
    assert names("defaults") == ["main", "r"]


def test_what_was_chosen_before_is_kept_where_it_fits(tmp_path: Path) -> None:
    channel = make_channel(tmp_path / "own", Conda("tool", "1.0"))
    earlier = resolve(tmp_path, "tool", channels=(channel,))
    make_channel(tmp_path / "own", Conda("tool", "1.5"), Conda("tool", "2.0"))
    assert chosen(resolve(tmp_path, "tool", channels=(channel,))) == ["tool 2.0"]
    again = {"channels": (channel,), "earlier": earlier}
    assert chosen(resolve(tmp_path, "tool", **again)) == ["tool 1.0"]  # type: ignore[arg-type]
    assert chosen(resolve(tmp_path, "tool>1", **again)) == ["tool 2.0"]  # type: ignore[arg-type]


def test_resolves_inside_a_running_event_loop(tmp_path: Path) -> None:
    channel = make_channel(tmp_path / "own", Conda("tool"))

    async def cell() -> list[str]:
        return chosen(resolve(tmp_path, "tool", channels=(channel,)))

    assert asyncio.run(cell()) == ["tool 1.0"]


def test_cuda_is_what_the_user_says(tmp_path: Path) -> None:
    channel = make_channel(tmp_path / "own", Conda("torch", needs=("__cuda >=12",)))
    wanted = Wanted("environment.yml", conda=("torch",), channels=(channel,))
    said = {"CONDA_OVERRIDE_CUDA": "12.4"}
    assert resolve_conda(wanted, PLATFORM, tmp_path / "cache", said)
    with pytest.raises(ImageBuildError, match=r"torch 1\.0 would require __cuda >=12"):
        resolve_conda(wanted, PLATFORM, tmp_path / "cache", {})


def test_what_cannot_be_resolved_is_said(tmp_path: Path) -> None:
    channel = make_channel(
        tmp_path / "own", Conda("new", needs=("__glibc >=2.99",)), Conda("tool", "1.0")
    )
    mistakes = {
        "tool=2": r"cannot be resolved for linux-64 in .*: No candidates were found for tool 2\.\*",
        "new": r"new 1\.0 would require __glibc >=2\.99, for which no candidates were found",
        "tool ==== 1": "asks for 'tool ==== 1', which is no package of conda",
    }
    for spec, said in mistakes.items():
        with pytest.raises(ImageBuildError, match=said) as caught:
            resolve(tmp_path, spec, channels=(channel,))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("address", ["file:///not/there", "http://127.0.0.1:9/own"])
def test_channel_that_cannot_be_reached(tmp_path: Path, address: str) -> None:
    with pytest.raises(ImageBuildError) as caught:
        resolve(tmp_path, "tool", "python=3.12", channels=(address,))
    said = str(caught.value)
    assert said.startswith("environment.yml takes tool from conda's channels, of which one cannot")
    assert address in said
    assert "write them below `- pip:`" in said
    assert "\n" not in said


def test_login_of_a_channel_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(ImageBuildError, match=r"http://127\.0\.0\.1:9/own") as caught:
        resolve(tmp_path, "tool", channels=("http://ada:secret@127.0.0.1:9/own",))
    assert "secret" not in str(caught.value)


def test_without_the_library_the_sentence_names_it(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['rattler'] = None\n"
        "from pathlib import Path\n"
        "from kernelext.image.conda import resolve_conda\n"
        "from kernelext.image.wanted import Wanted\n"
        f"resolve_conda(Wanted('x.yml', conda=('tool',)), {PLATFORM!r}, Path('cache'), {{}})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "x.yml takes tool from conda's channels, which needs py-rattler here" in done.stderr
    assert "pip install 'kernelext[conda]'" in done.stderr


def test_fetched_packages_say_what_is_in_them(tmp_path: Path) -> None:
    site = "lib/python3.11/site-packages"
    channel = make_channel(
        tmp_path / "own",
        Conda("python", "3.11.9", files={"bin/python3": "#!/bin/sh\n"}),
        Conda("py-own", files={f"{site}/Own_X-1.5.dist-info/METADATA": ""}, needs=("python",)),
        Conda(
            "pure",
            files={"site-packages/pure-2.0-py3.11.egg-info": ""},
            noarch="python",
            form=".tar.bz2",
        ),
        Conda("late", files={"bin/.late-post-link.sh": "true\n"}),
        Conda("vars", files={"etc/conda/activate.d/vars.sh": "export X=1\n"}),
    )
    records = resolve(tmp_path, "py-own", "pure", "late", "vars", channels=(channel,))
    house = Wheelhouse(tmp_path / "house")
    part = fetch_conda_part(records, house, lambda _: None, lambda: None)
    assert part.python == "3.11"
    assert part.distributions == {"own-x": "1.5", "pure": "2.0"}
    assert [each.name for each in part.packages if each.is_noarch_python] == ["pure"]
    assert [each.name for each in part.packages if each.has_script] == ["late"]
    assert [each.name for each in part.packages if each.has_activation] == ["vars"]
    lines = ("own.x", "own-x>=1,<2", "own-x>=2", "own-x[more]", "new", "--no-binary x")
    assert [line for line in lines if part.lacks(line)] == [
        "own-x>=2",
        "own-x[more]",
        "new",
        "--no-binary x",
    ]


def test_package_that_is_not_what_its_channel_says(tmp_path: Path) -> None:
    channel = make_channel(tmp_path / "own", Conda("tool"))
    records = resolve(tmp_path, "tool", channels=(channel,))
    Conda("tool", files={"bin/tool": "#!/bin/sh\n"}).write(tmp_path / "own" / "linux-64")
    with pytest.raises(ImageBuildError, match="what arrives is not what was resolved"):
        fetch_conda_part(records, Wheelhouse(tmp_path / "house"), lambda _: None, lambda: None)
    records[0].pop("sha256")
    with pytest.raises(ImageBuildError, match=r"the channel of tool 1.0 does not say its SHA-256"):
        fetch_conda_part(records, Wheelhouse(tmp_path / "house"), lambda _: None, lambda: None)

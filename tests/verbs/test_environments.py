"""Whether a project has an environment of its own, and who wins."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from kernelext.errors import ImageBuildError
from kernelext.image.wanted import Local
from kernelext.verbs import image
from kernelext.verbs.context import Context
from kernelext.verbs.environments import environment_of, note_imports


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """A project that has asked for nothing."""
    project = tmp_path / "project"
    project.mkdir()
    data = {"HOME": str(tmp_path), "KERNELEXT_DATA": str(tmp_path / "data")}
    return Context(project, {**data, "KERNELEXT_CONFIG": str(tmp_path / "none.toml")})


def test_project_has_none_until_it_is_asked_for(context: Context) -> None:
    assert environment_of(context) is None
    note_imports(context)
    environment = environment_of(context)
    assert environment is not None
    assert not environment.is_written


def test_ready_image_that_the_project_names_wins(context: Context) -> None:
    note_imports(context)
    (context.folder / "kernelext.toml").write_text('image = "team/own:1"\n')
    context.look_again(context.folder, context.environ)
    assert environment_of(context) is None


@pytest.mark.parametrize("words", [[], ["imports"], ["requirements.txt"]])
def test_build_for_a_project_that_names_a_ready_image(context: Context, words: list[str]) -> None:
    (context.folder / "kernelext.toml").write_text('image = "team/own:1"\n')
    (context.folder / "requirements.txt").write_text("numpy\n")
    context.look_again(context.folder, context.environ)
    parser = argparse.ArgumentParser()
    image.add_arguments(parser)
    source = words[0] if words else "imports"
    problem = rf'cells run in team/own:1, .* write \[image\] with from = "{source}" there'
    with pytest.raises(ImageBuildError, match=problem):
        image.run(context, parser.parse_args(["build", *words]))
    (context.folder / "kernelext.toml").unlink()
    context.look_again(context.folder, context.environ)
    assert environment_of(context) is None


def test_packages_of_the_projects_own_file_may_lie_elsewhere(context: Context) -> None:
    (context.folder / "requirements.txt").write_text("numpy\n")
    (context.folder / "more.txt").write_text("pandas\n-c limits.txt\n")
    (context.folder / "limits.txt").write_text("scipy<2\n")
    (context.folder / "kernelext.toml").write_text(
        '[image]\nfrom = "requirements.txt"\n'
        'packages = ["-e ./own[dev]", "a @ git+https://x.example/a", "-r more.txt", "tqdm"]\n'
    )
    context.look_again(context.folder, context.environ)
    environment = environment_of(context)
    assert environment is not None
    assert environment.wanted.requirements == ("numpy", "pandas", "tqdm")
    assert environment.wanted.constraints == ("scipy<2",)
    assert environment.wanted.local == (
        Local(str(context.project / "own"), extras=("dev",)),
        Local("git+https://x.example/a", "a"),
    )


def test_file_that_is_named_has_to_be_there(context: Context) -> None:
    (context.folder / "kernelext.toml").write_text('[image]\nfrom = "absent.txt"\n')
    context.look_again(context.folder, context.environ)
    with pytest.raises(ImageBuildError, match=r"absent.txt, which is not there"):
        environment_of(context)

"""Whether an image that was built elsewhere has what a project asks for."""

from __future__ import annotations

from packaging.requirements import InvalidRequirement, Requirement

from kernelext.image.target import Target
from kernelext.image.wanted import Wanted
from kernelext.models import ImageFacts
from kernelext.recipe import normal_name


def satisfies(facts: ImageFacts, wanted: Wanted) -> bool:
    """Whether an image surely has all that is asked for, in versions that may be.

    Packages from folders, from Git, of conda and of Debian cannot be told by what an image says of
    itself, and neither can extras, a Dockerfile's steps and what a script has changed.

    Raises
    ------
    ImageBuildError
        No wheels are made for the image's machine.

    Examples
    --------
    >>> facts = ImageFacts("sha256:0", "3.11.2", {"numpy": "2.1.0"}, "x86_64", "2.36")
    >>> satisfies(facts, Wanted("requirements.txt", ("numpy>=2",)))
    True
    >>> satisfies(facts, Wanted("requirements.txt", ("numpy<2",)))
    False
    """
    if wanted.local or wanted.apt or wanted.conda_names or wanted.dockerfile or wanted.script:
        return False
    if wanted.python and not f"{facts.python}.".startswith(f"{wanted.python}."):
        return False
    if not wanted.takes_python(facts.python):
        return False
    there = {normal_name(name): version for name, version in facts.packages.items()}
    environment = Target.of(facts, "").marker_environment()
    environment |= {"python_full_version": facts.python, "extra": ""}
    limiting = (*wanted.constraints, *wanted.overrides)
    asked = [_agrees(line, there, environment, must_be=True) for line in wanted.requirements]
    limits = [_agrees(line, there, environment, must_be=False) for line in limiting]
    return all([*asked, *limits])


def _agrees(
    line: str, there: dict[str, str], environment: dict[str, str], *, must_be: bool
) -> bool:
    try:
        requirement = Requirement(line)
    except InvalidRequirement:  # an option of pip's, say
        return False
    if requirement.marker is not None and not requirement.marker.evaluate(dict(environment)):
        return True
    version = there.get(normal_name(requirement.name))
    if version is None:
        return not must_be
    if requirement.url or requirement.extras:
        return False
    return requirement.specifier.contains(version, prereleases=True)

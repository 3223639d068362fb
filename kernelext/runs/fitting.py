"""Whether an image can take the encoded variables: libraries, Python, versions; before sending."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence

from kernelext.errors import ValueCodecError
from kernelext.models import ImageFacts
from kernelext.recipe import normal_name
from kernelext.values import Encoded, abilities_of

MIN_PYTHON = (3, 9)
# Their objects are pickled by their insides, which change from one minor version to the next.
VERSIONED = {
    "catboost": ("catboost",),
    "lightgbm": ("lightgbm",),
    "sklearn": ("scikit-learn",),
    "statsmodels": ("statsmodels",),
    "torch": ("torch",),
    "xgboost": ("xgboost", "xgboost-cpu"),
}
INSTALLED_AS = {"tables": "tables (PyTables)", "sklearn": "scikit-learn"}


def check_image(encoded: Sequence[Encoded], facts: ImageFacts, python: str) -> None:
    """Raise where an image cannot hold a variable.

    Parameters
    ----------
    encoded : sequence of Encoded
    facts : ImageFacts
    python : str
        The notebook's version.

    Raises
    ------
    ValueCodecError
        Its Python is too old or another one than byte code needs, or a library is absent.
    """
    there = _minor(facts.python)
    if there < MIN_PYTHON:
        raise ValueCodecError(
            f"the image has Python {facts.python}; cells need Python 3.9 or later:"
            " name another image with --image"
        )
    _check_libraries(encoded, facts)
    with_code = [each.ref.name for each in encoded if each.holds_code]
    if with_code and there != _minor(python):
        raise ValueCodecError(
            f"{', '.join(with_code)} can only travel as byte code, which needs the same Python:"
            f" the notebook has {python}, the image {facts.python};"
            " name an image of the notebook's version with --image"
        )


def _check_libraries(encoded: Sequence[Encoded], facts: ImageFacts) -> None:
    abilities = abilities_of(facts.packages)
    names = {name.lower() for name in facts.packages}
    for each in encoded:
        held = {name for name in each.libraries if name in VERSIONED}
        absent = [name for name in each.needs if name not in abilities]
        absent += sorted(name for name in held if not names.intersection(VERSIONED[name]))
        if absent:
            library = INSTALLED_AS.get(absent[0], absent[0])
            raise ValueCodecError(
                f"`{each.ref.name}` (`{each.ref.type_name}`) needs {library}, which the image"
                " does not have: choose an image that has it with --image"
            )


class Advice:
    """What to say of an image: each thing once."""

    def __init__(self) -> None:
        self._said: set[tuple[str, str]] = set()

    def of(self, encoded: Sequence[Encoded], facts: ImageFacts, host: str) -> list[str]:
        """Return the sentences that have not been said yet."""
        found = {}
        for each in encoded:
            for name in each.lacking:
                found[f"lacks {name}"] = (
                    f"The image on {host} has no {INSTALLED_AS.get(name, name)}: {each.ref.name}"
                    f" travels in a plainer and larger form; add {name} to the image."
                )
            for name in sorted(each.libraries & VERSIONED.keys()):
                here, there = _here(name), _there(name, facts.packages)
                if here and there and _minor(here) != _minor(there):
                    found[f"{name} {there}"] = (
                        f"{each.ref.name} is pickled by {VERSIONED[name][0]} {here}, the image on"
                        f" {host} has {there}: it may behave otherwise there; name an image of"
                        " the same version with --image."
                    )
        return self._new(found, facts)

    def of_versions(
        self, here: Mapping[str, str], facts: ImageFacts, host: str, step: str
    ) -> list[str]:
        """Return a sentence on versions that differ and have not been said yet, and what to do."""
        there = {normal_name(name): version for name, version in facts.packages.items()}
        told = {
            f"version of {name}": f"{name} {there[normal_name(name)]} ({version} here)"
            for name, version in sorted(here.items())
            if there.get(normal_name(name), version) != version
        }
        new = self._new(told, facts)
        if not new:
            return []
        return [f"The image on {host} has {', '.join(new)}{step}."]

    def _new(self, found: Mapping[str, str], facts: ImageFacts) -> list[str]:
        new = {what: text for what, text in found.items() if (facts.digest, what) not in self._said}
        self._said.update((facts.digest, what) for what in new)
        return list(new.values())


ADVICE = Advice()  # one session is one process


def _minor(version: str) -> tuple[int, int]:
    major, minor = (part for part in [*version.split("."), "0"][:2])
    return int(major), int(minor)


def _here(library: str) -> str:
    for name in VERSIONED[library]:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return ""


def _there(library: str, packages: Mapping[str, str]) -> str:
    found = {name.lower(): version for name, version in packages.items()}
    return next((found[name] for name in VERSIONED[library] if name in found), "")

"""Whether an image has what is asked for; where it cannot be told, it has not."""

from __future__ import annotations

import pytest

from kernelext.image.satisfying import satisfies
from kernelext.image.wanted import Local, Wanted
from kernelext.models import ImageFacts

PACKAGES = {"numpy": "2.1.0", "Scikit_Learn": "1.5.2", "early": "3.0rc1"}
FACTS = ImageFacts("sha256:0", "3.11.2", PACKAGES, "x86_64", "2.36")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("numpy", "scikit-learn==1.5.2"), True),
        (("numpy>=2,<3", "early>=2"), True),
        (("numpy<2",), False),
        (("pandas",), False),
        (("pandas; python_version < '3.9'", "pandas; sys_platform == 'win32'"), True),
        (("pandas; python_version >= '3.9'",), False),
        (("numpy @ https://somewhere/numpy.whl",), False),
        (("numpy[extra]",), False),
        (("--find-links wheels",), False),
        ((), True),
    ],
)
def test_requirements(lines: tuple[str, ...], expected: bool) -> None:
    assert satisfies(FACTS, Wanted("requirements.txt", lines)) is expected


def test_constraints_hold_for_what_is_there() -> None:
    assert satisfies(FACTS, Wanted("x", ("numpy",), constraints=("pandas==2", "numpy==2.1.0")))
    assert not satisfies(FACTS, Wanted("x", ("numpy",), constraints=("scikit-learn<1",)))


def test_what_cannot_be_told_is_not_there() -> None:
    assert not satisfies(FACTS, Wanted("x", ("numpy",), local=(Local("/own"),)))
    assert not satisfies(FACTS, Wanted("x", ("numpy",), apt=("libgl1",)))


def test_python_has_to_be_the_one() -> None:
    assert satisfies(FACTS, Wanted("x", python="3.11"))
    assert not satisfies(FACTS, Wanted("x", python="3.1"))
    assert satisfies(FACTS, Wanted("x", requires_python=">=3.11,<4"))
    assert not satisfies(FACTS, Wanted("x", requires_python=">=3.13"))


def test_python_as_distributions_write_it() -> None:
    """Debian's testing and what is built from a repository."""
    for version in ("3.11.0+", "3.11.2"):
        assert Wanted("x", requires_python=">=3.11").takes_python(version)
        assert not Wanted("x", requires_python=">=3.12").takes_python(version)
        assert Wanted("x").takes_python(version)

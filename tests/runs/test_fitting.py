"""What an image cannot hold is refused, what it holds less well is said once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse
import xgboost
from sklearn import __version__ as sklearn_version
from sklearn.linear_model import LinearRegression

from kernelext.errors import ValueCodecError
from kernelext.models import ImageFacts
from kernelext.runs.fitting import Advice, check_image
from kernelext.values import encode

HERE = "3.11.2"
MODEL = LinearRegression().fit(np.eye(3), [1, 2, 3])
ALL = {
    "numpy": "2",
    "scipy": "1",
    "blosc2": "3",
    "tables": "3",
    "scikit-learn": sklearn_version,
    "xgboost-cpu": "3",
}


def image(python: str = HERE, **changed: Any) -> ImageFacts:
    packages = {name: version for name, version in {**ALL, **changed}.items() if version}
    return ImageFacts("sha256:1", python, packages)


def function(x: int) -> int:
    return x


function.__module__ = "__main__"


def test_byte_code_needs_the_notebooks_python() -> None:
    encoded = encode("f", function, {})
    check_image([encoded], image("3.11.9"), HERE)
    with pytest.raises(
        ValueCodecError, match=r"^f can .* has 3.11.2, the image 3.12.1; .* --image"
    ):
        check_image([encoded], image("3.12.1"), HERE)


def test_pickle_without_code_goes_to_another_python() -> None:
    check_image([encode("model", MODEL, {})], image("3.12.1"), HERE)


def test_old_python_is_refused() -> None:
    with pytest.raises(ValueCodecError, match=r"Python 3\.8\.1; .* 3\.9 or later"):
        check_image([], image("3.8.1"), HERE)


@pytest.mark.parametrize(
    ("value", "library"),
    [
        (np.zeros(2), "numpy"),
        (scipy.sparse.eye_array(3), "scipy"),
        (MODEL, "scikit-learn"),
        (xgboost.XGBRegressor(n_estimators=1, n_jobs=1).fit(np.eye(3), [1, 2, 3]), "xgboost"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_library_that_the_image_lacks_is_named(value: Any, library: str) -> None:
    encoded = encode("v", value, {})
    check_image([encoded], image(), HERE)
    bare = ImageFacts("sha256:2", HERE, {})
    with pytest.raises(ValueCodecError, match=rf"`v` \(.*\) needs {library}, .* --image"):
        check_image([encoded], bare, HERE)


def test_another_minor_version_is_said_once() -> None:
    advice, encoded = Advice(), [encode("model", MODEL, {})]
    other = image(**{"scikit-learn": "0.99.1"})

    assert advice.of(encoded, image(), "aws01") == []
    (said,) = advice.of(encoded, other, "aws01")
    assert f"scikit-learn {sklearn_version}" in said
    assert "aws01 has 0.99.1" in said
    assert advice.of(encoded, other, "aws01") == []


def test_what_to_install_is_said_once() -> None:
    advice = Advice()
    matrix = scipy.sparse.eye_array(3)
    encoded = [encode("m", matrix, {}, abilities=("numpy", "scipy"))]
    (said,) = advice.of(encoded, image(), "aws01")
    assert "add tables to the image" in said
    assert advice.of(encoded, image(), "aws01") == []

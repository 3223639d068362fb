"""Models of the usual libraries come back as they were."""

from __future__ import annotations

import datetime
import decimal
import logging
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import xgboost
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from .trips import new_namespace, there_and_back

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
Y = (X[:, 0] > 0).astype(int)


def test_sklearn_pipeline_predicts_the_same() -> None:
    model = make_pipeline(StandardScaler(), SVC()).fit(X, Y)
    assert np.array_equal(there_and_back(model).decision_function(X), model.decision_function(X))


def test_xgboost_model_predicts_the_same() -> None:
    model = xgboost.XGBClassifier(n_estimators=3, n_jobs=1).fit(X, Y)
    assert np.array_equal(there_and_back(model).predict_proba(X), model.predict_proba(X))


def test_pandas_frame_comes_back() -> None:
    frame = pandas.DataFrame({"a": [1, 2], "b": ["x", None]})
    pandas.testing.assert_frame_equal(there_and_back(frame), frame)


def test_model_of_a_notebook_class_comes_back() -> None:
    notebook = new_namespace("""
from sklearn.base import BaseEstimator, TransformerMixin
class Double(TransformerMixin, BaseEstimator):
    def __init__(self, by=2): self.by = by
    def fit(self, X, y=None): return self
    def transform(self, X): return X * self.by * K
K = 1
""")
    model = make_pipeline(notebook["Double"](3), SVC()).fit(X, Y)
    back = there_and_back(model, notebook)
    assert type(back.steps[0][1]) is notebook["Double"]
    assert np.array_equal(back.decision_function(X), model.decision_function(X))


@pytest.mark.parametrize(
    "value",
    [
        datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC),
        decimal.Decimal("1.10"),
        Path("a/b"),
        re.compile("a+"),
        slice(1, 2),
        np.float32(0.1),
        logging.getLogger("x"),
        np.dtype("f4"),
        int,
        sys.stdout,
    ],
    ids=lambda v: type(v).__name__,
)
def test_common_object_comes_back(value: Any) -> None:
    assert there_and_back(value) == value

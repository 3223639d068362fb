"""XGBoost's models travel as UBJSON, and nothing of a wrapper is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ubjson
import xgboost

from kernelext.values import encode, identity

from .trips import joined, new_namespace, there_and_back

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 4))
Y = (X[:, 0] > 0).astype(int)
SMALL: dict[str, Any] = {"n_estimators": 4, "max_depth": 2, "n_jobs": 1}


def booster_of(model: Any) -> xgboost.Booster:
    return model if isinstance(model, xgboost.Booster) else model.get_booster()


def raw(model: Any) -> bytes:
    """Return all of a booster, as its own pickle would have it."""
    return bytes(booster_of(model).__getstate__()["handle"])


def models() -> dict[str, Any]:
    stopped = xgboost.XGBClassifier(**SMALL, early_stopping_rounds=2, eval_metric="logloss")
    stopped.fit(X, Y, eval_set=[(X, Y)], verbose=False)
    names = xgboost.DMatrix(X, Y, feature_names=list("abcd"))
    booster = xgboost.train({"max_depth": 2, "nthread": 1, "eta": 0.5}, names, 3)
    booster.set_attr(note="mine")
    return {
        "classifier": xgboost.XGBClassifier(**SMALL).fit(X, Y),
        "many classes": xgboost.XGBClassifier(**SMALL).fit(X, np.arange(80) % 3),
        "stopped early": stopped,
        "regressor": xgboost.XGBRegressor(**SMALL, missing=-1.0, random_state=3).fit(X, X[:, 1]),
        "forest": xgboost.XGBRFRegressor(**SMALL).fit(X, X[:, 1]),
        "linear": xgboost.XGBRegressor(booster="gblinear", n_jobs=1).fit(X, X[:, 1]),
        "ranker": xgboost.XGBRanker(**SMALL).fit(X, Y, qid=np.arange(80) // 20),
        "booster": booster,
    }


@pytest.mark.parametrize("name", models())
def test_model_comes_back_whole(name: str, tmp_path: Path) -> None:
    model = models()[name]
    encoded = encode("x", model, {})
    back = there_and_back(model)
    (tmp_path / "x.ubj").write_bytes(joined(encoded))

    assert encoded.ref.codec == "ubjson"
    assert type(back) is type(model)
    assert raw(back) == raw(model)
    assert identity("x", back, {}) == encoded.ref.identity
    if not isinstance(model, xgboost.Booster):
        assert str(back.get_params()) == str(model.get_params())
        assert np.array_equal(back.predict(X), model.predict(X))
        assert vars(back).keys() == vars(model).keys()

    alone = xgboost.Booster(model_file=str(tmp_path / "x.ubj"))
    assert alone.save_raw() == booster_of(model).save_raw()
    assert "learner" in ubjson.loadb(joined(encoded))


def test_results_of_an_evaluation_come_back() -> None:
    model = models()["stopped early"]
    back = there_and_back(model)
    assert back.evals_result() == model.evals_result()
    assert type(back.evals_result()["validation_0"]) is type(model.evals_result()["validation_0"])
    assert back.best_iteration == model.best_iteration


def test_wrapper_with_a_function_is_pickled() -> None:
    notebook = new_namespace("def mine(a, b): return a - b, b * 0 + 1")
    model = xgboost.XGBRegressor(**SMALL, objective=notebook["mine"]).fit(X, X[:, 1])
    encoded = encode("x", model, notebook)
    assert encoded.ref.codec.startswith("pickle")
    assert encoded.holds_code
    assert np.array_equal(there_and_back(model, notebook).predict(X), model.predict(X))


def test_unfitted_model_comes_back() -> None:
    back = there_and_back(xgboost.XGBClassifier(**SMALL))
    assert back.get_params()["max_depth"] == 2

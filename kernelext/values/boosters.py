"""XGBoost's models as the library's own UBJSON.

Beside the model the file holds, under the key ``kernelext``, what UBJSON leaves out: the
booster's configuration, and the class and the parameters of a scikit-learn wrapper. XGBoost
itself passes over the key: `Booster.load_model` reads the file.
"""

from __future__ import annotations

import collections
import sys
from typing import Any

from kernelext.values import jsontags
from kernelext.values.form import NotExact
from kernelext.values.stored import Buffer

KEY = b"kernelext"
CONFIG, CLASS, STATE, ORDERED = "config", "class", "state", "$ordered"
BOOSTER = "_Booster"


def is_model(value: object) -> bool:
    """Whether a value is a model of a class of XGBoost's own."""
    xgboost = sys.modules.get("xgboost")
    if xgboost is None or not type(value).__module__.startswith("xgboost."):
        return False
    name = type(value).__name__
    return getattr(xgboost, name, None) is type(value) and _booster_of(value) is not None


def write(value: Any) -> bytes:
    """Return the model as UBJSON.

    Raises
    ------
    NotExact
        A wrapper holds what is no plain value: a callback, an objective of the notebook.
    """
    booster = _booster_of(value)
    assert booster is not None
    left: dict[str, Any] = {CONFIG: booster.save_config(), CLASS: type(value).__name__}
    if value is not booster:
        state = {key: item for key, item in vars(value).items() if key != BOOSTER}
        left[STATE] = [[key, _plain(item)] for key, item in state.items()]
    elif vars(booster).keys() - {"handle"}:
        raise NotExact
    try:
        beside = jsontags.dumps(left)
    except jsontags.NotPlain as exc:
        raise NotExact from exc
    raw = bytes(booster.save_raw(raw_format="ubj"))
    if not raw.startswith(b"{L"):
        raise NotExact
    return b"{" + _text(KEY) + b"S" + _text(beside) + raw[1:]


def read(data: Buffer) -> Any:
    """Read what `write` wrote.

    Raises
    ------
    ValueError, KeyError, XGBoostError
        The bytes are damaged.
    """
    import xgboost

    content = bytearray(data)
    start = 1 + len(_text(KEY)) + 1
    if content[:start] != b"{" + _text(KEY) + b"S" or content[start : start + 1] != b"L":
        raise ValueError("no model of kernelext")
    size = int.from_bytes(content[start + 1 : start + 9], "big")
    left = jsontags.loads(content[start + 9 : start + 9 + size])
    booster = xgboost.Booster()
    booster.load_model(content)
    booster.load_config(left[CONFIG])
    cls: Any = getattr(xgboost, left[CLASS])
    if cls is xgboost.Booster:
        return booster
    if not (isinstance(cls, type) and issubclass(cls, xgboost.XGBModel)):
        raise ValueError(f"{left[CLASS]} is no model")
    model: Any = object.__new__(cls)
    vars(model).update((key, _rebuilt(item)) for key, item in left[STATE])
    setattr(model, BOOSTER, booster)
    return model


def _booster_of(value: Any) -> Any | None:
    xgboost = sys.modules["xgboost"]
    held = value if type(value) is xgboost.Booster else vars(value).get(BOOSTER)
    return held if type(held) is xgboost.Booster else None


def _plain(value: Any) -> Any:
    """Make the ordered dicts, of which the evaluation's results are, plain."""
    if type(value) is collections.OrderedDict:
        return {ORDERED: [[key, _plain(item)] for key, item in value.items()]}
    if type(value) is dict:
        if ORDERED in value:
            raise NotExact
        return {key: _plain(item) for key, item in value.items()}
    return value


def _rebuilt(value: Any) -> Any:
    if type(value) is dict:
        if value.keys() == {ORDERED}:
            pairs = [(key, _rebuilt(item)) for key, item in value[ORDERED]]
            return collections.OrderedDict(pairs)
        return {key: _rebuilt(item) for key, item in value.items()}
    return value


def _text(content: bytes) -> bytes:
    return b"L" + len(content).to_bytes(8, "big") + content

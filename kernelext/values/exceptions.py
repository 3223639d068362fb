"""Exceptions in a pickle: `__init__` of their class does not run again.

Python would call the class with what its `__init__` gave to `super().__init__`: too few arguments,
or the wrong ones.
"""

from __future__ import annotations

import copyreg
from types import FunctionType, MethodDescriptorType
from typing import Any


def reduce_exception(obj: BaseException) -> Any:
    """Reduce an exception to its class, its `args` and its attributes.

    Returns
    -------
    tuple or NotImplemented
        The latter where the class says by itself how it is rebuilt, or Python can tell.
    """
    kind = type(obj)
    says_itself = type(kind.__reduce__) is not MethodDescriptorType
    is_usual = kind.__reduce_ex__ is object.__reduce_ex__ and type(kind.__init__) is FunctionType
    if says_itself or not is_usual or type(kind.__new__) is FunctionType:
        return NotImplemented
    reduced: Any = obj.__reduce__()
    args, state = reduced[1], dict(reduced[2] or {}) if len(reduced) > 2 else {}
    for name in copyreg._slotnames(kind):  # type: ignore[attr-defined]
        if hasattr(obj, name):
            state[name] = getattr(obj, name)
    return _exception, (kind, args), state or None


def _exception(kind: Any, args: tuple[Any, ...]) -> BaseException:
    made: BaseException = kind.__new__(kind, *args)
    found = (vars(each).get("__init__") for each in kind.__mro__)
    init: Any = next(each for each in found if each and type(each) is not FunctionType)
    init(made, *args)
    return made

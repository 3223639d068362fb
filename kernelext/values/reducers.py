"""How functions, code, caches, views and files go into a pickle, unlike cloudpickle's own way."""

from __future__ import annotations

import functools
import gc
import io
import pickle
import sys
from types import CodeType, FunctionType, MappingProxyType, ModuleType
from typing import Any

from kernelext.holding import VIEWS

PYTHON = sys.version_info[:2]


class WrongPython(Exception):
    """A pickle holds byte code of another Python version."""


class Marker:
    """Stands in a pickle for the namespace of whoever reads it."""


NAMESPACE = Marker()


class _ModuleGlobals:
    """Stands in a pickle for the globals of an importable module."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module

    def __reduce__(self) -> tuple[Any, ...]:
        return vars, (self.module,)


def over_namespace(reduced: Any, function: FunctionType, namespace: dict[str, Any]) -> Any:
    """Change cloudpickle's own reduction of a function, so that its globals stay at home.

    Parameters
    ----------
    reduced : tuple
        Of a function that travels by value: builder, arguments, state, and so on.
    function : FunctionType
    namespace : dict
        What becomes the reader's own namespace.

    Returns
    -------
    tuple
        Unchanged where the function belongs neither to the namespace nor to a module.
    """
    make, (code, _, *rest), (state, slots), *others = reduced
    base: object = None
    if function.__globals__ is namespace:
        base = NAMESPACE
    elif slots["__globals__"]:
        # What a module's decorator made reads that module's globals over there too, and
        # they may hold locks.
        module = _module_of(function.__globals__)
        base = _ModuleGlobals(module) if module else None
    if base is None:
        return reduced
    return make, (code, base, *rest), (state, {**slots, "__globals__": {}}), *others


def _module_of(scope: dict[str, Any]) -> ModuleType | None:
    import cloudpickle

    name = scope.get("__name__", "")
    module = sys.modules.get(name)
    is_its = getattr(module, "__dict__", None) is scope
    if not is_its or scope.get("__spec__") is None or name == "__main__":
        return None
    by_value = cloudpickle.list_registry_pickle_by_value()
    if any(name == other or name.startswith(f"{other}.") for other in by_value):
        return None
    return module


def reduce_code(parts: tuple[Any, ...]) -> Any:
    """Reduce a code object to its version and cloudpickle's parts."""
    return _code, (PYTHON, *parts)


def _code(version: tuple[int, int], *parts: Any) -> CodeType:
    if version != PYTHON:  # foreign byte code crashes the interpreter
        theirs, ours = (".".join(map(str, v)) for v in (version, PYTHON))
        raise WrongPython(
            f"holds code compiled by Python {theirs}, and this is Python {ours}: "
            "choose an image of the notebook's Python with --image"
        )
    return CodeType(*parts)


def reduce_cache(obj: Any) -> Any:
    """Reduce what `functools.lru_cache` made; the cached results stay at home."""
    if obj.__module__ != "__main__":
        found = sys.modules.get(obj.__module__)
        for name in obj.__qualname__.split("."):
            found = getattr(found, name, None)
        if found is obj:
            return NotImplemented
    parameters = obj.cache_parameters()
    return _cache, (obj.__wrapped__, parameters["maxsize"], parameters["typed"])


def _cache(function: Any, maxsize: int | None, typed: bool) -> Any:
    return functools.lru_cache(maxsize, typed)(function)


def reduce_cached_property(obj: functools.cached_property[Any]) -> Any:
    """Reduce a cached property without its lock, which it has until Python 3.11."""
    return _cached_property, (obj.func, obj.attrname)


def _cached_property(function: Any, name: str | None) -> Any:
    made = functools.cached_property(function)
    if name is not None:
        made.__set_name__(object, name)
    return made


def reduce_view(obj: Any) -> Any:
    """Reduce a view of a mapping to the mapping, which others may hold, not to a copy of it.

    Returns
    -------
    tuple or NotImplemented
        For the proxy of a class's own `__dict__`, as cloudpickle does.
    """
    (mapping,) = gc.get_referents(obj)  # Python 3.9 has no other way to it
    if type(obj) is MappingProxyType:
        return NotImplemented if "__dict__" in mapping else (MappingProxyType, (mapping,))
    return _view, (mapping, VIEWS[type(obj)])


def _view(mapping: Any, way: str) -> Any:
    return getattr(mapping, way)()


def reduce_file(obj: object) -> Any:
    """Reduce a standard stream to its name and refuse an open file.

    Raises
    ------
    PicklingError
        For an open file: cloudpickle would read it and send its content.
    """
    for name in ("stdout", "stderr"):
        if obj is getattr(sys, name):
            return getattr, (sys, name)
    raise pickle.PicklingError("open files stay on their machine")


def is_view(obj: object) -> bool:
    """Whether an object is for `reduce_view`."""
    return type(obj) is MappingProxyType or type(obj) in VIEWS


def is_file(obj: object) -> bool:
    """Whether an object is for `reduce_file`."""
    return type(obj) is io.TextIOWrapper or obj is sys.stdout or obj is sys.stderr

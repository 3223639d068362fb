"""Everything else as pickles; functions of the notebook are rebuilt over the other namespace."""

from __future__ import annotations

import functools
import io
import pickle
from types import CodeType, FunctionType
from typing import Any

from kernelext.values import reducers
from kernelext.values.stored import Buffer


class Unpicklable(Exception):
    """Pickling failed.

    Parameters
    ----------
    message : str
        What pickle says.
    culprit : object
        What was being pickled.
    """

    def __init__(self, message: str, culprit: object) -> None:
        super().__init__(message)
        self.culprit = culprit


def dumps(value: object, namespace: dict[str, Any]) -> memoryview:
    """Pickle a value by cloudpickle, protocol 5.

    Parameters
    ----------
    value : object
    namespace : dict
        The notebook's. Functions whose globals it is travel without these.

    Returns
    -------
    memoryview

    Raises
    ------
    Unpicklable
    """
    file = io.BytesIO()
    pickler = _pickler_class()(file, namespace)
    try:
        pickler.dump(value)
    except Exception as exc:
        raise Unpicklable(str(exc) or type(exc).__name__, pickler.current) from exc
    return file.getbuffer()


def loads(data: Buffer, namespace: dict[str, Any]) -> Any:
    """Read a pickle; functions of the notebook get `namespace` as their globals.

    Raises
    ------
    WrongPython
        It holds code of another Python version.
    Exception
        Whatever the pickle's own classes raise.
    """
    missing = object()
    had = namespace.get("__builtins__", missing)
    try:
        return _Unpickler(io.BytesIO(data), namespace).load()
    finally:  # cloudpickle sets it with every function
        if had is missing:
            namespace.pop("__builtins__", None)
        else:
            namespace["__builtins__"] = had


@functools.cache
def _pickler_class() -> Any:
    import cloudpickle

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        """Cloudpickle's, which leaves the namespace at home and remembers where it is."""

        def __init__(self, file: io.BytesIO, namespace: dict[str, Any]) -> None:
            super().__init__(file, protocol=5)
            self.namespace = namespace
            self.current: object = None

        def reducer_override(self, obj: Any) -> Any:
            self.current = obj
            kind = type(obj)
            if kind is FunctionType:
                reduced = super().reducer_override(obj)
                if reduced is NotImplemented:  # by reference
                    return reduced
                return reducers.over_namespace(reduced, obj, self.namespace)
            if kind is CodeType:
                return reducers.reduce_code(self.dispatch_table[CodeType](obj)[1])
            if kind is reducers.Marker:
                return "NAMESPACE"  # a global's name, which `find_class` meets again
            if kind is functools._lru_cache_wrapper:
                return reducers.reduce_cache(obj)
            if kind is functools.cached_property:
                return reducers.reduce_cached_property(obj)
            if reducers.is_file(obj):
                return reducers.reduce_file(obj)
            reduced = super().reducer_override(obj)
            if isinstance(obj, type) and "__slots__" in vars(obj):
                return reducers.with_slots(reduced, obj)
            return reduced

    return Pickler


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, namespace: dict[str, Any]) -> None:
        super().__init__(file)
        self.namespace = namespace

    def find_class(self, module: str, name: str) -> Any:
        if module == reducers.__name__ and name == "NAMESPACE":
            return self.namespace
        if module == "__main__":
            first, *others = name.split(".")
            if first in self.namespace:
                return functools.reduce(getattr, others, self.namespace[first])
        return super().find_class(module, name)

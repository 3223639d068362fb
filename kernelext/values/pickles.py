"""Everything else as pickles; functions of the notebook are rebuilt over the other namespace."""

from __future__ import annotations

import functools
import io
import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

from kernelext.errors import ValueCodecError
from kernelext.values import (
    buffers,
    classes,
    dtypes,
    exceptions,
    items,
    masked,
    pandas_strings,
    reducers,
)
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


@dataclass(frozen=True)
class Pickled:
    """A pickle and what is beside it.

    Attributes
    ----------
    data : memoryview
    outside : tuple of PickleBuffer
        The arrays that the pickle takes from outside, in order.
    holds_code : bool
        Whether byte code is in it.
    libraries : frozenset of str
        Modules, the outermost, whose objects are in it.
    """

    data: memoryview
    outside: tuple[pickle.PickleBuffer, ...]
    holds_code: bool
    libraries: frozenset[str]


def dumps(
    value: object, namespace: dict[str, Any], refers: Mapping[int, str] | None = None
) -> Pickled:
    """Pickle a value by cloudpickle, protocol 5, with large arrays out of band.

    Parameters
    ----------
    value : object
    namespace : dict
        The notebook's. Functions whose globals it is travel without these.
    refers : mapping of int to str, optional
        Variables in the value that the pickle only names, by the ids of their objects.

    Raises
    ------
    Unpicklable
    """
    file = io.BytesIO()
    outside: list[pickle.PickleBuffer] = []

    def keep_inside(buffer: pickle.PickleBuffer) -> bool:
        if not buffers.is_worth_it(buffer):
            return True
        outside.append(buffer)
        return False

    pickler = _pickler_class(refers is not None)(file, namespace, keep_inside)
    pickler.refers = refers
    try:
        pickler.dump(value)
    except Exception as exc:
        raise Unpicklable(str(exc) or type(exc).__name__, pickler.current) from exc
    libraries = frozenset(name.partition(".")[0] for name in pickler.modules)
    return Pickled(file.getbuffer(), tuple(outside), pickler.holds_code, libraries)


def loads(
    data: Buffer,
    namespace: dict[str, Any],
    outside: Iterable[Any] = (),
    known: Mapping[str, Any] | None = None,
) -> Any:
    """Read a pickle; functions of the notebook get `namespace` as their globals.

    Parameters
    ----------
    data : bytes or memoryview
    namespace : dict
    outside : iterable of buffer
        Its arrays that are out of band, in order.
    known : mapping of str to object, optional
        The variables that it names.

    Raises
    ------
    WrongPython, WrongProcessor
        It holds code of another Python version, or long doubles of another processor.
    ValueCodecError
        A variable that it names is not known.
    Exception
        Whatever the pickle's own classes raise.
    """
    missing = object()
    had = namespace.get("__builtins__", missing)
    try:
        return _Unpickler(
            io.BytesIO(data), namespace, outside, {} if known is None else known
        ).load()
    finally:  # cloudpickle sets it with every function
        if had is missing:
            namespace.pop("__builtins__", None)
        else:
            namespace["__builtins__"] = had


@functools.cache
def _pickler_class(has_references: bool) -> Any:
    import cloudpickle

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        """Cloudpickle's, which leaves the namespace at home and remembers where it is."""

        def __init__(self, file: io.BytesIO, namespace: dict[str, Any], keep: Any) -> None:
            # By type, in one dict: `reducer_override` would ask of every object.
            self.dispatch_table: dict[type, Any] = {}
            for reductions in reversed(cloudpickle.Pickler.dispatch_table.maps):
                self.dispatch_table.update(reductions)
            self.dispatch_table.update(dtypes.reductions())
            super().__init__(file, protocol=5, buffer_callback=keep)
            self.namespace = namespace
            self.current: object = None
            self.holds_code = False
            self.modules: set[str] = set()

        def reducer_override(self, obj: Any) -> Any:
            self.current = obj
            kind = type(obj)
            self.modules.add(kind.__module__)
            if kind is FunctionType:
                reduced = super().reducer_override(obj)
                if reduced is NotImplemented:  # by reference
                    return reduced
                return reducers.over_namespace(reduced, obj, self.namespace)
            if kind is CodeType:
                self.holds_code = True
                return reducers.reduce_code(self.dispatch_table[CodeType](obj)[1])
            if kind is reducers.Marker:
                return "NAMESPACE"  # a global's name, which `find_class` meets again
            if kind is functools._lru_cache_wrapper:
                return reducers.reduce_cache(obj)
            if kind is functools.cached_property:
                return reducers.reduce_cached_property(obj)
            if masked.is_masked(obj):
                return masked.reduce_masked(obj)
            if pandas_strings.is_usual_string(obj):
                return pandas_strings.reduce_usual_string(obj)
            if reducers.is_view(obj):
                return reducers.reduce_view(obj)
            if items.takes_its_own_way(obj):
                return items.reduce_items(obj)
            if isinstance(obj, BaseException):
                return exceptions.reduce_exception(obj)
            if reducers.is_file(obj):
                return reducers.reduce_file(obj)
            reduced = super().reducer_override(obj)
            return classes.reduce_class(reduced, obj) if isinstance(obj, type) else reduced

    class Referring(Pickler):
        """Names variables instead of pickling them; asking for each object takes time."""

        def persistent_id(self, obj: Any) -> str | None:
            name: str | None = self.refers.get(id(obj))
            return name

    return Referring if has_references else Pickler


class _Unpickler(pickle.Unpickler):
    def __init__(
        self, file: io.BytesIO, namespace: dict[str, Any], outside: Any, known: Mapping[str, Any]
    ) -> None:
        super().__init__(file, buffers=outside)
        self.namespace = namespace
        self.known = known

    def persistent_load(self, pid: str) -> Any:
        try:
            return self.known[pid]
        except KeyError:
            raise ValueCodecError(
                f"It holds the variable `{pid}`, which is not at home or cannot be read: fetch all"
                " of the run, or run the cell again."
            ) from None

    def find_class(self, module: str, name: str) -> Any:
        if module == reducers.__name__ and name == "NAMESPACE":
            return self.namespace
        if module == "__main__":
            first, *others = name.split(".")
            if first in self.namespace:
                return functools.reduce(getattr, others, self.namespace[first])
        return super().find_class(module, name)

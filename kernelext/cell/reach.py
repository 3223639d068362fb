"""Closes names over the notebook's functions and classes; runs none of them.

User objects may have odd `__class__`, `__eq__`, `__hash__`, properties and metaclasses: so types
are compared by identity and attributes read through the descriptors of built-in types alone.
"""

from __future__ import annotations

import dis
import functools
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_MAIN = "__main__"
_GLOBAL_READS = frozenset(("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"))
_TYPE_DICT = type.__dict__["__dict__"]
_TYPE_BASES = type.__dict__["__bases__"]
_TYPE_MRO = type.__dict__["__mro__"]

# A list of a million numbers holds no function; a notebook's list of models is short.
_LONGEST_CONTAINER = 1000
# Past so many objects only functions and classes are looked into (some 30 ms).
_MOST_OBJECTS = 10_000


def reach(names: Iterable[str], namespace: Mapping[str, object]) -> tuple[str, ...]:
    """Add to names the ones that their functions and classes read, transitively.

    Only what the notebook itself defined is followed; a function of a library finds its own
    globals where the library is installed.

    Parameters
    ----------
    names : iterable of str
        Where to start, `CellNames.inputs` for example.
    namespace : mapping of str to object
        The notebook's variables. No code of theirs is executed, properties and `__eq__` included.

    Returns
    -------
    tuple of str
        Those in `namespace`: first the given ones in their order, then the found ones in the
        order of discovery. Names such as `__name__` are left out.

    Examples
    --------
    >>> notebook = {"rate": 0.1, "__name__": "__main__"}
    >>> exec("def decay(step): return rate ** step", notebook)
    >>> reach(["decay", "step"], notebook)
    ('decay', 'rate')
    """
    found = dict.fromkeys(name for name in names if _is_carried(name, namespace))
    waiting = list(found)
    # The objects are held, so that no two of them share an id.
    seen: dict[int, object] = {}
    for name in waiting:
        for read in _names_read(namespace[name], namespace, seen):
            if read not in found and _is_carried(read, namespace):
                found[read] = None
                waiting.append(read)
    return tuple(found)


def _is_carried(name: str, namespace: Mapping[str, object]) -> bool:
    is_dunder = len(name) > 4 and name.startswith("__") and name.endswith("__")
    return not is_dunder and name in namespace


def _names_read(
    value: object, namespace: Mapping[str, object], seen: dict[int, object]
) -> Iterator[str]:
    waiting = [value]
    for part in waiting:
        if id(part) in seen:
            continue
        seen[id(part)] = part
        if type(part) is types.FunctionType:
            if _is_of_notebook(part, namespace):
                yield from _globals_read(part.__code__, namespace)
            waiting.extend(_parts_of_function(part))
        elif issubclass(type(part), type):
            if _is_notebook_class(part):
                waiting.extend((type(part), *_TYPE_BASES.__get__(part)))
                waiting.extend(_TYPE_DICT.__get__(part).values())
        elif len(seen) < _MOST_OBJECTS:
            waiting.extend(_parts_of_object(part))


def _is_of_notebook(function: types.FunctionType, namespace: Mapping[str, object]) -> bool:
    return function.__globals__ is namespace or _is_main(function.__module__)


def _is_notebook_class(value: Any) -> bool:
    return _is_main(_TYPE_DICT.__get__(value).get("__module__"))


def _is_main(module: object) -> bool:
    return type(module) is str and module == _MAIN


def _globals_read(code: types.CodeType, namespace: Mapping[str, object]) -> Iterator[str]:
    # Disassembling costs a hundred times this look; attributes are in `co_names` too.
    if any(name in namespace for name in code.co_names):
        for instruction in dis.get_instructions(code):
            if instruction.opname in _GLOBAL_READS:
                yield instruction.argval
    for constant in code.co_consts:
        if type(constant) is types.CodeType:
            yield from _globals_read(constant, namespace)


def _parts_of_function(function: types.FunctionType) -> list[object]:
    parts: list[object] = [
        *(function.__defaults__ or ()),
        *(function.__kwdefaults__ or {}).values(),
        *function.__dict__.values(),
    ]
    for cell in function.__closure__ or ():
        try:
            parts.append(cell.cell_contents)
        except ValueError:
            # The variable around the function is not bound yet.
            continue
    return parts


def _parts_of_object(value: Any) -> list[object]:
    """List what a value holds that may lead to code of the notebook."""
    kind = type(value)
    if kind is dict:
        return list(value.values()) if len(value) <= _LONGEST_CONTAINER else []
    if any(kind is container for container in (list, tuple, set, frozenset)):
        return list(value) if len(value) <= _LONGEST_CONTAINER else []
    if kind is types.MethodType:
        return [value.__func__, value.__self__]
    for holder, fields in _HOLDERS:
        if issubclass(kind, holder):
            return [field.__get__(value) for field in fields]
    if kind is types.ModuleType:
        return []
    attributes = list(_instance_dict(value).values())
    if _is_notebook_class(kind):
        return [kind, *attributes]
    # `functools.cache`, `numpy.vectorize` and an estimator keep a function as an attribute.
    return [part for part in attributes if type(part) is types.FunctionType]


_HOLDERS: tuple[tuple[type, tuple[Any, ...]], ...] = (
    (
        functools.partial,
        tuple(map(vars(functools.partial).__getitem__, ("func", "args", "keywords"))),
    ),
    (staticmethod, (staticmethod.__dict__["__func__"],)),
    (classmethod, (classmethod.__dict__["__func__"],)),
    (property, (property.fget, property.fset, property.fdel)),
)


def _instance_dict(value: object) -> dict[str, object]:
    for base in _TYPE_MRO.__get__(type(value)):
        descriptor = _TYPE_DICT.__get__(base).get("__dict__")
        if descriptor is not None:
            if type(descriptor) is types.GetSetDescriptorType:
                attributes = descriptor.__get__(value)
                return attributes if type(attributes) is dict else {}
            return {}
    return {}

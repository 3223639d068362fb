"""Closes names over the notebook's functions and classes; runs none of them.

User objects may have odd `__class__`, `__eq__`, `__hash__`, properties and metaclasses: so types
are compared by identity and attributes read through the descriptors of built-in types alone.
"""

from __future__ import annotations

import dis
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kernelext.holding import attributes, holdings, inside, is_notebook_class

_MAIN = "__main__"
# By id: to look a class up by itself would call its metaclass's `__hash__`.
_LEAVES = frozenset(map(id, (str, bytes, int, float, bool, complex, type(None))))
_GLOBAL_READS = frozenset(("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"))
_TYPE_DICT = type.__dict__["__dict__"]
_TYPE_BASES = type.__dict__["__bases__"]

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
            waiting.extend(thing for held in holdings(part) for thing in held.things)
        elif issubclass(type(part), type):
            if is_notebook_class(part):
                waiting.extend((type(part), *_TYPE_BASES.__get__(part)))
                waiting.extend(_TYPE_DICT.__get__(part).values())
        elif len(seen) < _MOST_OBJECTS or type(part) is types.CellType:
            waiting.extend(_parts_of_object(part))


def _is_of_notebook(function: types.FunctionType, namespace: Mapping[str, object]) -> bool:
    return function.__globals__ is namespace or _is_main(function.__module__)


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


def _parts_of_object(value: Any) -> Iterator[object]:
    """Yield what a value holds that may lead to code of the notebook."""
    kind = type(value)
    if kind is types.ModuleType:
        return
    for held in inside(value):
        if len(held.things) <= _LONGEST_CONTAINER:
            yield from (part for part in held.things if id(type(part)) not in _LEAVES)
    is_own = is_notebook_class(kind)
    if is_own:
        yield kind
    for held in attributes(value):
        # `functools.cache`, `numpy.vectorize` and an estimator keep a function as an attribute.
        yield from (part for part in held.things if is_own or type(part) is types.FunctionType)

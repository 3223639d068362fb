"""What of functions and classes a cell can change; the code itself is told by identity.

Code does not give the same pickle twice.
"""

from __future__ import annotations

import contextlib
import enum
import functools
import types

from kernelext.values import is_immutable

CODE = (type, types.FunctionType)


def code_of(value: object) -> dict[str, object]:
    """Return the methods, properties and classes in a class of the notebook and around it.

    Parameters
    ----------
    value : object

    Returns
    -------
    dict of str to object
        For `is_same_code`. It holds the objects, so that no other gets the id of one that the
        cell has replaced. Empty for what is no class.
    """
    if isinstance(value, enum.EnumMeta) or not isinstance(value, type):
        return {}
    return {
        f"{number} {name}": _code_in(found)
        for number, kind in enumerate(_family(value))
        for name, found in vars(kind).items()
        if not name.startswith("_abc_") and not _is_data(found)
    }


def is_same_code(code: dict[str, object], was: dict[str, object]) -> bool:
    """Tell whether a class has the methods, properties and classes that it had."""
    return code.keys() == was.keys() and all(
        code[key] is was[key] or (type(code[key]) is _Functions and code[key] == was[key])
        for key in code
    )


def state_of(value: object) -> object:
    """Return what of a value a cell can change: of code all but the code itself."""
    if isinstance(value, types.FunctionType):
        return _function_state(value, {id(value)})
    if isinstance(value, enum.EnumMeta) or not isinstance(value, type):
        return value
    seen: set[int] = set()
    return [_class_state(kind, seen) for kind in _family(value)]


class _Functions(tuple):  # type: ignore[type-arg]
    """What an attribute is, and the code of the functions in it.

    A class that is read again, with an object of it or by a library of worker processes, has
    equal functions, but other ones.
    """


def _code_in(found: object) -> object:
    functions = _functions_in(found)
    if not functions:
        return found
    return _Functions((type(found), *(each.__code__ for each in functions)))


def _family(value: type) -> list[type]:
    """List the notebook's classes that travel with one: its bases, metaclass and inner classes."""
    family: dict[type, None] = {}
    waiting = [value]
    while waiting:
        kind = waiting.pop()
        if kind in family or is_immutable(kind):
            continue
        family[kind] = None
        inner = [found for found in vars(kind).values() if isinstance(found, type)]
        meta: type = type(kind)
        waiting += [*kind.__mro__, *meta.__mro__, *inner]
    return list(family)


def _class_state(kind: type, seen: set[int]) -> object:
    if isinstance(kind, enum.EnumMeta):
        return kind
    state: list[object] = []
    for name, found in vars(kind).items():
        if _is_data(found):
            if not name.startswith(("__", "_abc_")):
                state += (name, found)
            continue
        for function in _functions_in(found):
            is_of_library = function.__module__ != "__main__" and is_immutable(function)
            if not is_of_library and id(function) not in seen:
                seen.add(id(function))
                state.append(_function_state(function, seen))
    return state


def _is_data(value: object) -> bool:
    return not callable(value) and not hasattr(type(value), "__get__")


def _functions_in(found: object) -> list[types.FunctionType]:
    held: list[object] = [found]
    if isinstance(found, (staticmethod, classmethod)):
        held = [found.__func__]
    elif isinstance(found, property):
        held = [found.fget, found.fset, found.fdel]
    elif isinstance(found, functools.cached_property):
        held = [found.func]
    return [each for each in held if isinstance(each, types.FunctionType)]


def _function_state(function: types.FunctionType, seen: set[int]) -> list[object]:
    state: list[object] = []
    for held in _parts(function):
        if not isinstance(held, CODE):
            state.append(held)
        elif isinstance(held, types.FunctionType) and id(held) not in seen:
            seen.add(id(held))
            state.append(_function_state(held, seen))
    return state


def _parts(function: types.FunctionType) -> list[object]:
    parts: list[object] = [*(function.__defaults__ or ())]
    for named in (function.__kwdefaults__ or {}, function.__dict__):
        for name, value in named.items():
            parts += (name, value)
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):  # not bound yet
            parts.append(cell.cell_contents)
    return parts

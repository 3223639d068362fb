"""What a value holds, and where in it; runs no code of the user's.

User objects may have odd `__class__`, `__iter__`, `__getattribute__` and metaclasses: so types are
told by `type` alone, and everything is read through the methods of built-in types.
"""

from __future__ import annotations

import functools
import gc
from collections import OrderedDict, deque
from collections.abc import Collection, Iterable, Iterator
from types import (
    BuiltinFunctionType,
    CellType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
    MethodWrapperType,
)
from typing import Any, NamedTuple

_TYPE_DICT = type.__dict__["__dict__"]
_TYPE_MRO = type.__dict__["__mro__"]
_SEQUENCES: tuple[Any, ...] = (list, tuple, deque)
_SETS: tuple[Any, ...] = (set, frozenset)
_EMPTY: tuple[Any, ...] = ({}, OrderedDict())
VIEWS: dict[type, str] = {
    type(getattr(each, way)()): way for each in _EMPTY for way in ("keys", "values", "items")
}
_HOLDERS: dict[type, tuple[str, ...]] = {
    functools.partial: ("func", "args", "keywords"),
    MethodType: ("__self__", "__func__"),
    BuiltinFunctionType: ("__self__",),
    MethodWrapperType: ("__self__",),
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
    property: ("fget", "fset", "fdel"),
    BaseException: ("args",),
}
# By id: to look a class up by itself would call its metaclass's `__hash__`.
_JUST_ITEMS = frozenset(map(id, (dict, *_SEQUENCES, *_SETS)))
# Of most instances this one look tells that they are none of these.
_NOT_JUST_ATTRIBUTES = (
    *(dict, FunctionType, CellType, MappingProxyType),
    *(*_SEQUENCES, *_SETS, *VIEWS, *_HOLDERS),
)


class Held(NamedTuple):
    """Things that a value holds in the same way.

    Attributes
    ----------
    path : str
        How to reach one of them, to be formatted with the path of the value and a key: ``{}[{}]``.
    keys : iterable
        As many as there are things.
    things : collection
    """

    path: str
    keys: Iterable[object]
    things: Collection[Any]


def holdings(value: Any) -> Iterator[Held]:
    """Yield what a value itself holds: what is in it, its attributes, what it was made around.

    Of functions no globals, of instances not the class. What arrays and frames hold is
    for `elements` of their libraries.
    """
    yield from inside(value)
    yield from attributes(value)


def inside(value: Any) -> Iterator[Held]:
    """Yield what a value holds otherwise than by attributes."""
    kind = type(value)
    if issubclass(kind, _NOT_JUST_ATTRIBUTES):
        yield from items(value)
        if id(kind) not in _JUST_ITEMS:
            yield from around(value)


def items(value: Any) -> Iterator[Held]:
    """Yield what is in a container: subclasses are read as their built-in bases are."""
    kind = type(value)
    if issubclass(kind, dict):
        yield Held("{}[{}]", dict.keys(value), dict.values(value))
        yield Held("list({})[{}]", range(dict.__len__(value)), dict.keys(value))
        return
    for base in _SEQUENCES:
        if issubclass(kind, base):
            yield Held("{}[{}]", range(base.__len__(value)), _plainly(value, base))
            return
    for base in _SETS:
        if issubclass(kind, base):
            yield Held("list({})[{}]", range(base.__len__(value)), _plainly(value, base))
            return


def _plainly(value: Any, base: Any) -> Collection[Any]:
    """Return a container that gives what is in a value, whatever its class has made of that."""
    return value if type(value) is base else list(base.__iter__(value))


def around(value: Any) -> Iterator[Held]:
    """Yield what functions, methods and views were made around."""
    kind = type(value)
    if kind is FunctionType:
        yield Held("{}.<{}>", value.__code__.co_freevars, value.__closure__ or ())
        defaults = value.__defaults__ or ()
        yield Held("{}.__defaults__[{}]", range(len(defaults)), defaults)
        named = value.__kwdefaults__ or {}
        yield Held("{}.__kwdefaults__[{}]", named, named.values())
    elif kind is CellType:
        try:
            yield Held("{}", ("",), (value.cell_contents,))
        except ValueError:  # not bound yet
            return
    elif issubclass(kind, (MappingProxyType, *VIEWS)):
        # Python 3.9 has no other way to the mapping of a view, and none has one to a proxy's.
        behind = gc.get_referents(value)
        yield Held("{}" if kind is MappingProxyType else "{}.mapping", ("",) * len(behind), behind)
    else:
        for holder, names in _HOLDERS.items():
            if issubclass(kind, holder):
                fields = vars(holder)
                yield Held("{}.{}", names, [fields[name].__get__(value) for name in names])


def attributes(value: Any) -> Iterator[Held]:
    """Yield an instance's attributes, in its `__dict__` and in slots."""
    if id(type(value)) in _JUST_ITEMS:
        return
    found = instance_dict(value)
    if found:
        yield Held("{}.{}", found, found.values())
    slots = _slots(type(value))
    if slots:
        held = {}
        for name, slot in slots.items():
            try:
                held[name] = slot.__get__(value)
            except AttributeError:
                continue
        yield Held("{}.{}", held, held.values())


def instance_dict(value: object) -> dict[str, object]:
    """Return an instance's `__dict__` when it is Python's own, else an empty one."""
    for base in _TYPE_MRO.__get__(type(value)):
        descriptor = _TYPE_DICT.__get__(base).get("__dict__")
        if descriptor is not None:
            if type(descriptor) in (GetSetDescriptorType, MemberDescriptorType):
                found = descriptor.__get__(value)
                return found if type(found) is dict else {}
            return {}
    return {}


def _slots(kind: type) -> dict[str, Any]:
    """Return the slots of Python classes; a member in C says nothing of what is held."""
    found: dict[str, Any] = {}
    for base in _TYPE_MRO.__get__(kind):
        own = _TYPE_DICT.__get__(base)
        if "__slots__" in own:
            for name, each in own.items():
                if type(each) is MemberDescriptorType:
                    found[name] = each
    return found


def is_notebook_class(kind: Any) -> bool:
    """Whether a class was made in the notebook."""
    module = _TYPE_DICT.__get__(kind).get("__module__")
    return type(module) is str and module == "__main__"


def class_attributes(kind: Any) -> Iterator[Held]:
    """Yield the attributes of a class of the notebook and of its bases there."""
    for base in _TYPE_MRO.__get__(kind):
        if is_notebook_class(base):
            own = _TYPE_DICT.__get__(base)
            yield Held("{}.{}", own, own.values())

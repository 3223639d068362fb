"""How classes of the notebook go into a pickle, and are rebuilt without running their hooks."""

from __future__ import annotations

import contextlib
import copyreg
import enum
import sys
import threading
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

# What `enum` itself keeps on a member.
_OF_ENUM = frozenset({"_value_", "_name_", "__objclass__", "_sort_order_", "_inverted_"})
_NO_HOOK = classmethod(lambda cls, **keywords: None)
_HOOKS = threading.RLock()


def reduce_class(reduced: Any, kind: type) -> Any:
    """Change cloudpickle's reduction of a class, whose rebuilding runs hooks and forgets things.

    Parameters
    ----------
    reduced : tuple or NotImplemented
        Of a class that travels by value, or by reference.
    kind : type

    Returns
    -------
    tuple or NotImplemented
        A class that is known to the reader is refilled in place; what it no longer has goes.
    """
    if reduced is NotImplemented or len(reduced) != 6:
        return reduced
    _, args, (content, _), *_ = reduced
    tracker = args[-2]
    content = {**content, "__qualname__": kind.__qualname__}
    extras: dict[str, dict[str, Any]] = {}
    make: Callable[..., type] = _class
    made_of: object
    if isinstance(kind, enum.EnumMeta):
        members: dict[str, Any] = dict(kind.__members__)
        for name in members:
            content.pop(name, None)
        extras = {name: _given(member) for name, member in members.items()}
        make, made_of = _enum, _members_of(kind)
    else:
        content.update(_like_inherited(kind))
        made_of = _made_with(args[3], content, kind)
    stays = [name for name in vars(kind) if name not in content]
    how = (type(kind), kind.__name__, _bases_of(kind), made_of, tracker)
    return make, how, (content, stays, extras), None, None, _fill


def is_rebuilt(kind: type) -> bool:
    """Tell whether a class has been in a pickle by value."""
    from cloudpickle import cloudpickle

    return kind in cloudpickle._DYNAMIC_CLASS_TRACKER_BY_CLASS


def _bases_of(kind: type) -> tuple[Any, ...]:
    """Return the bases, or those of the statement where they alone bring the metaclass."""
    meta: type = type(kind)
    if any(isinstance(base, meta) for base in kind.__bases__):
        return kind.__bases__
    stated: tuple[Any, ...] = vars(kind).get("__orig_bases__", kind.__bases__)
    return stated  # such as `TypedDict`


def _like_inherited(kind: type) -> dict[str, Any]:
    """Return the attributes that are the same object in a base; cloudpickle leaves them out."""
    return {
        name: value
        for name, value in vars(kind).items()
        if any(name in vars(base) and vars(base)[name] is value for base in kind.__bases__)
    }


def _made_with(made_with: dict[str, Any], content: dict[str, Any], kind: type) -> dict[str, Any]:
    """Return what has to be in the body of the class from the beginning."""
    own = vars(kind)
    needed = {name: own[name] for name in ("__orig_bases__",) if name in own}
    if "__slots__" in own:  # which cloudpickle forgets
        needed["__slots__"] = own["__slots__"]
        for name in [*content]:
            is_slot = type(content[name]) is types.MemberDescriptorType
            if is_slot or name in ("__slots__", "__slotnames__"):
                del content[name]
    return {**made_with, **needed}


def _members_of(kind: Any) -> list[tuple[str, tuple[Any, ...], Any]]:
    """Return name, arguments of the mixed-in type, and value of all members, aliases too."""
    of = kind._member_type_
    return [
        (name, _arguments(of, member), member._value_) for name, member in kind.__members__.items()
    ]


def _arguments(of: Any, member: object) -> tuple[Any, ...]:
    if of is object:
        return ()
    make, arguments, *_ = of.__reduce_ex__(member, 2)
    return tuple(arguments[1:] if make is copyreg.__newobj__ else arguments)  # type: ignore[attr-defined]


def _given(member: Any) -> dict[str, Any]:
    """Return what `__new__` and `__init__`, or a cell, gave a member."""
    return {name: value for name, value in vars(member).items() if name not in _OF_ENUM}


def _class(
    meta: type, name: str, bases: tuple[Any, ...], made_with: dict[str, Any], tracker: str
) -> type:
    return _known(tracker) or _built(meta, name, bases, made_with.items(), tracker)


def _enum(meta: type, name: str, bases: tuple[type, ...], members: list[Any], tracker: str) -> type:
    known = _known(tracker)
    if known is not None:
        return known

    def make(cls: Any, *given: Any) -> Any:
        # Where tuples are mixed in, the arguments are a tuple of one tuple.
        made = given[0][0] if cls._member_type_ is tuple else given[0]
        member = cls._member_type_.__new__(cls, *made.arguments)
        member._value_ = made.value
        return member

    body = [("__new__", make), ("__init__", lambda self, *given: None)]
    stand_ins = [(name, _Member(arguments, value)) for name, arguments, value in members]
    return _built(meta, name, bases, [*body, *stand_ins], tracker)


class _Member:
    """Stands in the body of an enum for what a member is made of."""

    def __init__(self, arguments: tuple[Any, ...], value: object) -> None:
        self.arguments = arguments
        self.value = value


def _known(tracker: str) -> type | None:
    from cloudpickle import cloudpickle

    known: type | None = cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.get(tracker)
    return known


def _built(
    meta: type, name: str, stated: tuple[Any, ...], body: Iterable[tuple[str, Any]], tracker: str
) -> type:
    from cloudpickle import cloudpickle

    bases = types.resolve_bases(stated)

    def make() -> type:
        part = _of_library(meta)
        namespace: Any = part.__prepare__(name, bases)
        for key, value in body:
            namespace[sys.intern(key)] = value
        made: type = part.__new__(meta, name, bases, namespace)
        part.__init__(made, name, bases, namespace)
        return made

    ancestors = {kind for base in bases for kind in base.__mro__}
    hooked = [
        kind for kind in ancestors if isinstance(vars(kind).get("__init_subclass__"), classmethod)
    ]
    try:
        # A library's hook runs, since what it did to the library does not travel.
        with _without_hooks([kind for kind in hooked if is_rebuilt(kind)]):
            made = make()
    except TypeError:  # it asks for keywords of the class statement, which no class keeps
        with _without_hooks(hooked):
            made = make()
    built: type = cloudpickle._lookup_class_or_track(tracker, made)
    return built


def _of_library(meta: type) -> Any:
    """Return the part of a metaclass that is no code of the notebook."""
    return next(kind for kind in meta.__mro__ if not is_rebuilt(kind))


@contextlib.contextmanager
def _without_hooks(hooked: list[type]) -> Iterator[None]:
    """Keep `__init_subclass__` of classes from running: what it did travels with the subclass."""
    with _HOOKS:
        hooks = [(kind, vars(kind)["__init_subclass__"]) for kind in hooked]
        for kind, _ in hooks:
            _of_library(type(kind)).__setattr__(kind, "__init_subclass__", _NO_HOOK)
        try:
            yield
        finally:
            for kind, hook in hooks:
                _of_library(type(kind)).__setattr__(kind, "__init_subclass__", hook)


def _is_of_enum(name: str) -> bool:
    """Whether a name is one that `enum` keeps for itself, each version others."""
    return len(name) > 2 and name[0] == name[-1] == "_" != name[1]


def _fill(kind: Any, state: tuple[dict[str, Any], list[str], dict[str, dict[str, Any]]]) -> None:
    content, stays, extras = state
    part = _of_library(type(kind))
    for name in vars(kind).keys() - content.keys() - set(stays):
        if not (isinstance(kind, enum.EnumMeta) and _is_of_enum(name)):
            part.__delattr__(kind, name)
    registered = content.pop("_abc_impl", ())
    for name, value in content.items():
        part.__setattr__(kind, name, value)
    if "__firstlineno__" in content:  # setting `__module__` deletes it
        part.__setattr__(kind, "__firstlineno__", content["__firstlineno__"])
    for subclass in registered:
        part.register(kind, subclass)
    for name, given in extras.items():
        member = kind._member_map_[name]
        for gone in _given(member).keys() - given.keys():
            del vars(member)[gone]
        vars(member).update(given)

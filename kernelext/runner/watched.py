"""Remembers a cell's inputs as they were, to tell which of them it changed; sends nothing."""

from __future__ import annotations

import contextlib
import enum
import types
from typing import Any

from kernelext.errors import ValueCodecError
from kernelext.models import ValueRef
from kernelext.values import identity, is_immutable

CODE = (type, types.FunctionType)
# The same object pickles differently on the two sides, and so may other versions of a library.
COMPUTED_HERE = frozenset({"pickle", "pickle_zip", "arrow", "polars", "ubjson"})


class WatchedInputs:
    """The inputs of one cell.

    What can change in place is known by its digest alone, so that a `del` of the cell frees its
    memory.

    Parameters
    ----------
    namespace : dict
        The cell's.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        self._namespace = namespace
        self._held: dict[str, object] = {}
        self._digests: dict[str, str] = {}
        self._ids: dict[str, int] = {}

    def note(self, ref: ValueRef) -> None:
        """Remember an input that has just been bound."""
        name, value = ref.name, self._namespace[ref.name]
        self._ids[name] = id(value)
        is_code = isinstance(value, CODE)
        is_fixed = is_immutable(value) and not self._is_function_of_notebook(value)
        if is_code or is_fixed:
            self._held[name] = value
        if is_fixed:
            return
        known = ref.identity
        if is_code or ref.codec in COMPUTED_HERE:
            with contextlib.suppress(ValueCodecError):
                known = identity(name, _state(value), self._namespace)
        self._digests[name] = known

    def changed(self) -> list[str]:
        """List the inputs that are bound and no longer what they were."""
        return [name for name in self.names() if name in self._namespace and self._differs(name)]

    def deleted(self) -> list[str]:
        """List the inputs that are bound no longer."""
        return [name for name in self.names() if name not in self._namespace]

    def _is_function_of_notebook(self, value: object) -> bool:
        """Tell whether a value may yet be given attributes, or set what is around it."""
        return isinstance(value, types.FunctionType) and value.__globals__ is self._namespace

    def is_same(self, name: str) -> bool:
        """Tell whether a name is bound to the object that it was bound to."""
        return self._ids.get(name) == id(self._namespace[name])

    def names(self) -> list[str]:
        """List the inputs."""
        return list(self._ids)

    def _differs(self, name: str) -> bool:
        value = self._namespace[name]
        if name in self._held and self._held[name] is not value:
            return True
        if name not in self._digests:
            return False
        try:
            found: str = identity(name, _state(value), self._namespace)
        except ValueCodecError:
            return True
        return found != self._digests[name]


def _state(value: object) -> object:
    """Return what of a value a cell can change: of code all but the code itself.

    Code does not give the same pickle twice.
    """
    if isinstance(value, types.FunctionType):
        return _function_state(value, {id(value)})
    if isinstance(value, enum.EnumMeta) or not isinstance(value, type):
        return value
    return {
        name: found
        for name, found in vars(value).items()
        if not name.startswith(("__", "_abc_")) and _is_data(found)
    }


def _is_data(value: object) -> bool:
    return not callable(value) and not hasattr(type(value), "__get__")


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

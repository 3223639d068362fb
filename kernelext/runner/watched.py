"""Remembers a cell's inputs as they were, to tell which of them it changed; sends nothing."""

from __future__ import annotations

import contextlib
import types
from typing import Any

from kernelext.errors import ValueCodecError
from kernelext.models import ValueRef
from kernelext.runner.codestate import CODE, code_of, is_same_code, state_of
from kernelext.values import identity, is_immutable

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
        self._code: dict[str, dict[str, object]] = {}
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
        self._code[name] = code_of(value)
        known = ref.identity
        if is_code or ref.codec in COMPUTED_HERE:
            with contextlib.suppress(ValueCodecError):
                known = identity(name, state_of(value), self._namespace)
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
        if not is_same_code(code_of(value), self._code[name]):
            return True
        try:
            found: str = identity(name, state_of(value), self._namespace)
        except ValueCodecError:
            return True
        return found != self._digests[name]

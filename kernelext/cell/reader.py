"""Walks a cell in the order it runs and notes its names; knows no kind of statement."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any, Callable, Optional

from kernelext.cell.flow import Loop, State
from kernelext.cell.scopes import Scope, ScopeKind, children_of

Position = tuple[int, int]
Handler = Callable[["Reader", Any], Optional[Sequence[Any]]]

# Every module has these, the remote one too; `__class__` and the like belong to class bodies.
MODULE_ATTRIBUTES = frozenset(
    (
        "__annotations__",
        "__builtins__",
        "__class__",
        "__debug__",
        "__doc__",
        "__loader__",
        "__module__",
        "__name__",
        "__package__",
        "__qualname__",
        "__spec__",
    )
)
# Through these a name is read that is spelled nowhere but in a text.
LOOKUPS = frozenset(("__main__", "eval", "exec", "globals", "locals", "vars"))


class Facts:
    """The module names that code reads, binds, changes and unbinds.

    Each has its first position but the unbound ones, which may be elsewhere as well.
    """

    __slots__ = ("bound", "changed", "read", "unbound")

    def __init__(self) -> None:
        self.read: dict[str, Position] = {}
        self.bound: dict[str, Position] = {}
        self.changed: dict[str, Position] = {}
        self.unbound: set[str] = set()


class Reader:
    """Follows one body, the module's or a function's, and gathers its facts.

    Each handler treats one kind of node: it returns the children that are still to be walked, or
    None when it has walked them itself.
    """

    def __init__(
        self, handlers: dict[type, Handler], scope: Scope, *, has_lazy_annotations: bool = False
    ) -> None:
        self.handlers = handlers
        self.scope = scope
        self.has_lazy_annotations = has_lazy_annotations
        self.state = State()
        self.facts = Facts()
        self.loops: list[Loop] = []
        self.log: list[str] = []
        self.definitions: set[str] = set()
        self.bound_later: set[str] = set()
        self.deferred: dict[str, list[Facts]] = {}

    def walk(self, node: Any) -> None:
        """Walk a node and what is below it, in the order of execution."""
        stack = [node]
        handlers = self.handlers
        while stack:
            node = stack.pop()
            kind = type(node)
            if kind is ast.Constant:
                continue
            handler = handlers.get(kind)
            children = children_of(node) if handler is None else handler(self, node)
            if children:
                stack += children[::-1]

    def walk_body(self, statements: Sequence[Any]) -> None:
        """Walk statements up to the first that cannot be reached."""
        for statement in statements:
            if not self.state.alive:
                return
            self.walk(statement)

    def read(self, name: str, node: Any, *, is_changed: bool = False) -> None:
        """Note that a name is read, and perhaps changed in place, at a node."""
        scope = self.scope
        if scope.kind is ScopeKind.MODULE:
            self._read_global(name, position_of(node), is_changed)
            return
        name = scope.mangle(name)
        owner = scope.class_scope()
        if owner is not None and name in owner.bound:
            # The class body may call one of its methods before the class has its name.
            self._resolve(owner.name)
            if owner.prefix + name in self.state.replaced:
                return
        if scope.is_module_name(name):
            self._read_global(name, position_of(node), is_changed)

    def bind(self, name: str, node: Any) -> None:
        """Note that a name is bound at a node."""
        name = self.scope.mangle(name)
        scope = self.scope.binding_scope(name)
        if scope.kind is ScopeKind.MODULE or name in scope.module_names:
            self.state.replaced.add(name)
            self.state.present.add(name)
            self.facts.bound.setdefault(name, position_of(node))
            self.log.append(name)
        elif name in scope.class_names():
            self.state.replaced.add(scope.prefix + name)

    def unbind(self, name: str) -> None:
        """Note that a name is bound no longer, nor its value from the notebook within reach."""
        name = self.scope.mangle(name)
        if self.scope.kind is ScopeKind.MODULE or name in self.scope.module_names:
            self.state.replaced.add(name)
            self.state.present.discard(name)
            self.facts.unbound.add(name)

    def read_body(self, scope: Scope, body: Sequence[Any]) -> Facts:
        """Return the facts of a function's body."""
        reader = Reader(self.handlers, scope, has_lazy_annotations=self.has_lazy_annotations)
        reader.walk_body(body)
        return reader.facts

    def bind_later(self, facts: Facts) -> None:
        """Note what a function binds and unbinds, which runs at a time unknown."""
        self.facts.unbound |= facts.unbound
        for name, position in facts.bound.items():
            self.bound_later.add(name)
            self.facts.bound.setdefault(name, position)

    def absorb(self, facts: Facts, *, own_name: str = "") -> None:
        """Count the reads of a function that may be called from here on.

        A definition that is called while it is made and then needs its own former value cannot
        run in a fresh notebook: `own_name` is no read unless it is called later on.
        """
        for name, position in list(facts.read.items()):
            if name != own_name:
                self._read_global(name, position, name in facts.changed)
        if own_name in facts.read:
            self.defer(own_name, facts)

    def defer(self, name: str, facts: Facts) -> None:
        """Count the reads of a function when its name is read, at the latest at the end."""
        self.deferred.setdefault(name, []).append(facts)

    def finish(self) -> None:
        """Count the reads of functions whose names were not read."""
        if not self.state.alive:
            # A cell that always raises ends at a place unknown.
            self.bound_later.update(self.facts.bound)
            self.state.alive = True
        for name in list(self.deferred):
            self._resolve(name)

    def _resolve(self, name: str) -> None:
        waiting, seen = [name], {name}
        while waiting:
            for facts in self.deferred.get(waiting.pop(), ()):
                for read, position in facts.read.items():
                    self._note_read(read, position, read in facts.changed)
                    if read in self.deferred and read not in seen:
                        seen.add(read)
                        waiting.append(read)

    def _read_global(self, name: str, position: Position, is_changed: bool) -> None:
        if name in self.deferred:
            self._resolve(name)
        elif name in LOOKUPS:
            for deferred in self.deferred:
                self._resolve(deferred)
        self._note_read(name, position, is_changed)

    def _note_read(self, name: str, position: Position, is_changed: bool) -> None:
        reads = self.facts.read
        known = reads.get(name)
        if known is not None and known <= position and not is_changed:
            return
        if name in self.state.replaced or name in MODULE_ATTRIBUTES:
            return
        if known is None or position < known:
            reads[name] = position
        if is_changed:
            changes = self.facts.changed
            if name not in changes or position < changes[name]:
                changes[name] = position


def position_of(node: Any) -> Position:
    """Return line and column of a node; an import's alias has none before Python 3.10."""
    return (getattr(node, "lineno", 0), getattr(node, "col_offset", 0))

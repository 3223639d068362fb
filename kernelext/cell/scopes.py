"""Tells which scope of a cell a name belongs to; does not follow the order of execution."""

from __future__ import annotations

import ast
import enum
from typing import Any

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class ScopeKind(enum.Enum):
    """What opens a scope."""

    MODULE = "module"
    FUNCTION = "function"
    CLASS = "class"
    COMPREHENSION = "comprehension"
    TYPE_PARAMETERS = "type parameters"


class Bindings:
    """The names that the statements of one scope bind, whether or not they are reached."""

    __slots__ = ("bound", "deleted", "module_names", "outer_names")

    def __init__(self) -> None:
        self.bound: set[str] = set()
        self.deleted: set[str] = set()
        self.module_names: set[str] = set()
        self.outer_names: set[str] = set()

    def local_names(self) -> set[str]:
        """List the names that belong to the scope itself."""
        return self.bound - self.module_names - self.outer_names


class Scope:
    """One scope of a cell, with the scope around it."""

    __slots__ = (
        "bound",
        "deleted",
        "has_walrus",
        "is_plain",
        "kind",
        "module_names",
        "name",
        "parent",
        "prefix",
        "private",
    )

    def __init__(
        self,
        kind: ScopeKind,
        parent: Scope | None = None,
        *,
        name: str = "",
        position: tuple[int, int] = (0, 0),
    ) -> None:
        self.kind = kind
        self.parent = parent
        self.name = name
        self.bound: set[str] = set()
        self.deleted: set[str] = set()
        self.module_names: set[str] = set()
        self.private: str = parent.private if parent else ""
        self.has_walrus: bool = parent.has_walrus if parent else True
        self.is_plain = False
        # A class body's names share the flow state of the module; no identifier holds a dot.
        self.prefix = f"{position[0]}:{position[1]}."
        if kind is ScopeKind.CLASS:
            self.private = name.lstrip("_")

    def declare(self, bindings: Bindings) -> None:
        """Take over the names that the statements of this scope bind."""
        self.bound.update(map(self.mangle, bindings.local_names()))
        self.deleted.update(map(self.mangle, bindings.deleted))
        self.module_names.update(map(self.mangle, bindings.module_names))

    def mangle(self, name: str) -> str:
        """Spell a private name (`__x` within class `C`) as Python stores it (`_C__x`)."""
        if not name.startswith("__") or name.endswith("__"):
            return name
        return f"_{self.private}{name}" if self.private and "." not in name else name

    def is_module_name(self, name: str) -> bool:
        """Tell whether a mangled name, read here, may be the module's."""
        scope: Scope | None = self
        sees_class = True
        while scope is not None and scope.kind is not ScopeKind.MODULE:
            if scope.kind is not ScopeKind.CLASS:
                if name in scope.module_names:
                    return True
                if name in scope.bound:
                    return False
            elif sees_class and (name in scope.module_names or name in scope.bound):
                # LOAD_NAME skips the functions around a class for a name that the class binds.
                return True
            if scope.kind is not ScopeKind.TYPE_PARAMETERS:
                sees_class = False
            scope = scope.parent
        return True

    def binding_scope(self, name: str) -> Scope:
        """Find the scope in which an assignment to a mangled name takes place."""
        scope = self
        while (
            scope.kind is ScopeKind.COMPREHENSION
            and name not in scope.bound
            and scope.parent is not None
        ):
            scope = scope.parent
        return scope

    def class_names(self) -> set[str]:
        """List the names that read the class's own value once bound.

        A name that the class body deletes reads the module's again.
        """
        return self.bound - self.deleted if self.kind is ScopeKind.CLASS else set()

    def is_of_module(self) -> bool:
        """Tell whether this is a class that stands in the module itself."""
        parent = self.parent
        while parent is not None and parent.kind is ScopeKind.TYPE_PARAMETERS:
            parent = parent.parent
        return (
            self.kind is ScopeKind.CLASS and parent is not None and parent.kind is ScopeKind.MODULE
        )

    def class_scope(self) -> Scope | None:
        """Return the class whose body reads names here, past any type parameters."""
        scope: Scope | None = self
        while scope is not None and scope.kind is ScopeKind.TYPE_PARAMETERS:
            scope = scope.parent
        return scope if scope is not None and scope.kind is ScopeKind.CLASS else None


def function_scope(node: Any, parent: Scope) -> Scope:
    """Open the scope of a `def` or a `lambda`.

    Parameters
    ----------
    node : ast.FunctionDef, ast.AsyncFunctionDef or ast.Lambda
        The function.
    parent : Scope
        The scope in which it stands.

    Returns
    -------
    Scope
        Its parameters and locals declared.
    """
    scope = Scope(ScopeKind.FUNCTION, parent)
    body = node.body if isinstance(node.body, list) else [node.body]
    bindings = collect_bindings(body, has_walrus=scope.has_walrus)
    arguments = node.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
        bindings.bound.add(argument.arg)
    for argument in (arguments.vararg, arguments.kwarg):
        if argument is not None:
            bindings.bound.add(argument.arg)
    scope.declare(bindings)
    return scope


def class_scope(node: ast.ClassDef, parent: Scope) -> Scope:
    """Open the scope of a class body.

    Parameters
    ----------
    node : ast.ClassDef
        The class.
    parent : Scope
        The scope in which it stands.

    Returns
    -------
    Scope
        The names that its body binds declared.
    """
    position = (node.lineno, node.col_offset)
    scope = Scope(ScopeKind.CLASS, parent, name=node.name, position=position)
    scope.declare(collect_bindings(node.body, has_walrus=scope.has_walrus))
    return scope


def collect_bindings(nodes: list[Any], *, has_walrus: bool = True) -> Bindings:
    """List what the statements of one scope bind, nested scopes left out.

    Parameters
    ----------
    nodes : list of ast.AST
        The body of the scope.
    has_walrus : bool
        Whether an expression may bind; without one only statements are looked at.

    Returns
    -------
    Bindings
        As written, not mangled.
    """
    bindings = Bindings()
    # A comprehension's own targets stay in it; a walrus inside it binds out here.
    stack = [(node, False) for node in nodes]
    while stack:
        node, in_comprehension = stack.pop()
        kind = type(node)
        if kind is ast.Name:
            if not in_comprehension and not isinstance(node.ctx, ast.Load):
                bindings.bound.add(node.id)
                if isinstance(node.ctx, ast.Del):
                    bindings.deleted.add(node.id)
            continue
        if kind is ast.NamedExpr:
            bindings.bound.add(node.target.id)
        elif kind in COMPREHENSIONS:
            in_comprehension = True
        else:
            _note_named(node, bindings)
        for child in _same_scope_children(node):
            if has_walrus or not isinstance(child, ast.expr) or _is_target(child):
                stack.append((child, in_comprehension))
    return bindings


def _is_target(node: Any) -> bool:
    return isinstance(getattr(node, "ctx", None), (ast.Store, ast.Del))


def _note_named(node: Any, bindings: Bindings) -> None:
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        bindings.bound.add(node.name)
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        bindings.bound.update(alias.asname or alias.name.split(".")[0] for alias in node.names)
    elif isinstance(node, ast.Global):
        bindings.module_names.update(node.names)
    elif isinstance(node, ast.Nonlocal):
        bindings.outer_names.update(node.names)
    elif isinstance(node, ast.ExceptHandler):
        if node.name:
            bindings.bound.add(node.name)
            bindings.deleted.add(node.name)
    elif type(node).__name__ in ("MatchAs", "MatchStar"):
        if node.name:
            bindings.bound.add(node.name)
    elif type(node).__name__ == "MatchMapping" and node.rest:
        bindings.bound.add(node.rest)


def _same_scope_children(node: Any) -> list[Any]:
    if isinstance(node, FUNCTIONS):
        return [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]
    if isinstance(node, ast.ClassDef):
        return [*node.decorator_list, *node.bases, *node.keywords]
    if isinstance(node, ast.Lambda):
        return [*node.args.defaults, *filter(None, node.args.kw_defaults)]
    return children_of(node)


def children_of(node: ast.AST) -> list[Any]:
    """List the child nodes in the order of their fields.

    Parameters
    ----------
    node : ast.AST
        Any node.

    Returns
    -------
    list of ast.AST
        Operators and contexts included.
    """
    children: list[Any] = []
    for field in node._fields:
        child = getattr(node, field, None)
        if isinstance(child, list):
            children.extend(item for item in child if isinstance(item, ast.AST))
        elif isinstance(child, ast.AST):
            children.append(child)
    return children

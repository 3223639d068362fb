"""Handles functions, classes and type aliases; when their bodies run is `reader`'s business."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from kernelext.cell.expressions import note_change, walk_defaults
from kernelext.cell.reader import Facts, Handler, Reader
from kernelext.cell.scopes import Scope, ScopeKind, class_scope, function_scope

# These keep a method and do not call it while the class is made.
_PASSIVE_DECORATORS = frozenset(("classmethod", "property", "staticmethod"))
# An edited cell comes with the nodes of the statements that stayed: see `edits`.
_FACTS: WeakKeyDictionary[ast.AST, dict[tuple[bool, bool], Facts]] = WeakKeyDictionary()
_PROPERTY_DECORATORS = frozenset(("deleter", "getter", "setter"))


def walk_function(reader: Reader, node: Any) -> None:
    """Walk what a `def` evaluates now, note what its body will read, bind its name."""
    _walk_decorators(reader, node)
    walk_defaults(reader, node.args)
    with _type_parameters(reader, node):
        if not reader.has_lazy_annotations:
            _walk_annotations(reader, node)
        facts = _facts_of(reader, node)
    reader.bind_later(facts)
    _place(reader, node, facts)
    reader.definitions.add(node.name)
    reader.bind(node.name, node)


def _facts_of(reader: Reader, node: Any) -> Facts:
    """Read a function's body; only once where nothing but the cell is around it."""
    if reader.scope.kind is not ScopeKind.MODULE:
        return reader.read_body(function_scope(node, reader.scope), node.body)
    known = _FACTS.setdefault(node, {})
    circumstances = (reader.scope.has_walrus, reader.has_lazy_annotations)
    if circumstances not in known:
        scope = function_scope(node, reader.scope)
        known[circumstances] = reader.read_body(scope, node.body)
    return known[circumstances]


def _walk_decorators(reader: Reader, node: Any) -> None:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Attribute):
            note_change(reader, decorator.value)
        reader.walk(decorator)


def _walk_annotations(reader: Reader, node: Any) -> None:
    arguments = node.args
    every = (
        *arguments.posonlyargs,
        *arguments.args,
        arguments.vararg,
        *arguments.kwonlyargs,
        arguments.kwarg,
    )
    for annotation in (*(argument.annotation for argument in every if argument), node.returns):
        if annotation is not None:
            reader.walk(annotation)


def _place(reader: Reader, node: Any, facts: Facts) -> None:
    """Choose from when on the reads of a function's body count.

    A plain function runs no sooner than its name is read. A loop could come back to a reading that
    was walked before, a decorator could call at once, and so could the making of a class that has
    bases.
    """
    scope = reader.scope
    at_module = scope.kind is ScopeKind.MODULE
    owner = node.name
    if not at_module:
        owner = scope.name if scope.is_of_module() and not reader.loops else ""
    may_wait = not node.decorator_list if at_module else scope.is_plain and _is_passive(node)
    if owner and may_wait and not reader.loops:
        reader.defer(owner, facts)
    else:
        reader.absorb(facts, own_name=owner)


def _is_passive(node: Any) -> bool:
    return all(
        (isinstance(decorator, ast.Name) and decorator.id in _PASSIVE_DECORATORS)
        or (isinstance(decorator, ast.Attribute) and decorator.attr in _PROPERTY_DECORATORS)
        for decorator in node.decorator_list
    )


def walk_class(reader: Reader, node: ast.ClassDef) -> None:
    """Walk a class, whose body runs now, and bind its name."""
    _walk_decorators(reader, node)
    with _type_parameters(reader, node):
        for part in (*node.bases, *node.keywords):
            reader.walk(part)
        outside = reader.scope
        reader.scope = scope = class_scope(node, outside)
        scope.is_plain = not (node.decorator_list or node.bases or node.keywords)
        reader.walk_body(node.body)
        reader.scope = outside
    reader.definitions.add(node.name)
    reader.bind(node.name, node)


def walk_type_alias(reader: Reader, node: Any) -> None:
    """Walk `type Name[T] = value`, whose value is evaluated when it is asked for."""
    with _type_parameters(reader, node):
        reader.walk(node.value)
    reader.walk(node.name)


@contextmanager
def _type_parameters(reader: Reader, node: Any) -> Iterator[None]:
    parameters = getattr(node, "type_params", ())
    if not parameters:
        yield
        return
    outside = reader.scope
    reader.scope = scope = Scope(ScopeKind.TYPE_PARAMETERS, outside)
    if isinstance(node, ast.ClassDef):
        scope.private = node.name.lstrip("_")
    scope.bound.update(scope.mangle(parameter.name) for parameter in parameters)
    for parameter in parameters:
        for part in ("bound", "default_value"):
            expression = getattr(parameter, part, None)
            if expression is not None:
                reader.walk(expression)
    yield
    reader.scope = outside


DEFINITIONS: dict[str, Handler] = {
    "AsyncFunctionDef": walk_function,
    "ClassDef": walk_class,
    "FunctionDef": walk_function,
    "TypeAlias": walk_type_alias,
}

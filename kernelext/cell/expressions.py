"""Handles the expressions that bind, change or scope names; the rest is walked child by child."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Any

from kernelext.cell.flow import join
from kernelext.cell.reader import Handler, Reader
from kernelext.cell.scopes import Scope, ScopeKind, function_scope

# `df.query("age > @limit")` reads `limit` from the frame that calls it.
_QUERY_METHODS = ("query", "eval")
_QUERY_NAME = re.compile(r"@([^\W\d]\w*)")


def walk_name(reader: Reader, node: ast.Name) -> None:
    """Read, bind or delete a name."""
    if isinstance(node.ctx, ast.Store):
        reader.bind(node.id, node)
        return
    reader.read(node.id, node)
    if isinstance(node.ctx, ast.Del):
        reader.unbind(node.id)


def walk_constant(reader: Reader, node: ast.Constant) -> None:
    """Skip a constant."""


def walk_value(reader: Reader, node: Any) -> Sequence[Any]:
    """Walk the one part of a node that holds names."""
    return (node.value,)


def walk_elements(reader: Reader, node: Any) -> Sequence[Any]:
    """Walk the elements of a list, set or tuple, or of a target written so."""
    return list(node.elts)


def walk_member(reader: Reader, node: Any) -> Sequence[Any]:
    """Note the root of `a.b = 1`, `a["k"] = 1` or `del a.b` as changed."""
    if not isinstance(node.ctx, ast.Load):
        note_change(reader, node.value)
    return (node.value,) if isinstance(node, ast.Attribute) else (node.value, node.slice)


def walk_call(reader: Reader, node: ast.Call) -> Sequence[Any]:
    """Note the root of a method call as changed."""
    function = node.func
    if isinstance(function, ast.Attribute):
        note_change(reader, function.value)
        if function.attr in _QUERY_METHODS and node.args:
            for text in ast.walk(node.args[0]):
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    for name in _QUERY_NAME.findall(text.value):
                        reader.read(name, text)
    return (function, *node.args, *node.keywords)


def note_change(reader: Reader, node: Any) -> None:
    """Note the name at the root of an attribute or subscript chain as changed.

    Parameters
    ----------
    reader : Reader
        The body that holds the chain.
    node : ast.AST
        What is changed; a chain that starts with a call has no name to note.
    """
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    if isinstance(node, ast.Name):
        reader.read(node.id, node, is_changed=True)


def walk_binary(reader: Reader, node: ast.BinOp) -> Sequence[Any]:
    """Walk both operands."""
    return (node.left, node.right)


def walk_dict(reader: Reader, node: ast.Dict) -> Sequence[Any]:
    """Walk key and value in turn, as they are evaluated."""
    pairs = zip(node.keys, node.values)
    return [part for pair in pairs for part in pair if part is not None]


def walk_walrus(reader: Reader, node: ast.NamedExpr) -> None:
    """Bind the name after its value is read."""
    reader.walk(node.value)
    reader.bind(node.target.id, node.target)


def walk_shortcut(reader: Reader, node: ast.BoolOp) -> None:
    """Walk the operands, of which only the first is surely evaluated."""
    first, *others = node.values
    reader.walk(first)
    _walk_perhaps(reader, others)


def walk_comparison(reader: Reader, node: ast.Compare) -> Sequence[Any] | None:
    """Walk the operands, of which only the first two are surely evaluated."""
    first, *others = node.comparators
    if not others:
        return (node.left, first)
    reader.walk(node.left)
    reader.walk(first)
    _walk_perhaps(reader, others)
    return None


def walk_choice(reader: Reader, node: ast.IfExp) -> None:
    """Walk `a if test else b`."""
    reader.walk(node.test)
    before = reader.state.copy()
    reader.walk(node.body)
    after_body, reader.state = reader.state, before
    reader.walk(node.orelse)
    reader.state = join((after_body, reader.state))


def walk_lambda(reader: Reader, node: ast.Lambda) -> None:
    """Walk the defaults now, the body as one that may be called from here on."""
    walk_defaults(reader, node.args)
    facts = reader.read_body(function_scope(node, reader.scope), [node.body])
    reader.bind_later(facts)
    reader.absorb(facts)


def walk_defaults(reader: Reader, arguments: ast.arguments) -> None:
    """Walk the defaults of a function, which the scope around it evaluates."""
    for default in (*arguments.defaults, *arguments.kw_defaults):
        if default is not None:
            reader.walk(default)


def walk_comprehension(reader: Reader, node: Any) -> None:
    """Walk a comprehension: its first iterable outside, the rest in a scope of its own."""
    generators = node.generators
    reader.walk(generators[0].iter)
    outside, before, mark = reader.scope, reader.state.copy(), len(reader.log)
    reader.scope = scope = Scope(ScopeKind.COMPREHENSION, outside)
    for generator in generators:
        scope.bound.update(
            scope.mangle(target.id)
            for target in ast.walk(generator.target)
            if isinstance(target, ast.Name) and isinstance(target.ctx, ast.Store)
        )
    for index, generator in enumerate(generators):
        if index:
            reader.walk(generator.iter)
        reader.walk(generator.target)
        for test in generator.ifs:
            reader.walk(test)
    for part in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
        reader.walk(part)
    reader.scope = outside
    reader.state = join((before, reader.state))
    if isinstance(node, ast.GeneratorExp):
        # A generator runs when it is consumed, which may be after a `del`.
        reader.bound_later.update(reader.log[mark:])


def _walk_perhaps(reader: Reader, nodes: Sequence[Any]) -> None:
    before = reader.state.copy()
    for node in nodes:
        reader.walk(node)
    reader.state = join((before, reader.state))


EXPRESSIONS: dict[str, Handler] = {
    "Attribute": walk_member,
    "Await": walk_value,
    "BinOp": walk_binary,
    "BoolOp": walk_shortcut,
    "Call": walk_call,
    "Compare": walk_comparison,
    "Constant": walk_constant,
    "Dict": walk_dict,
    "DictComp": walk_comprehension,
    "Expr": walk_value,
    "GeneratorExp": walk_comprehension,
    "IfExp": walk_choice,
    "Lambda": walk_lambda,
    "List": walk_elements,
    "ListComp": walk_comprehension,
    "Name": walk_name,
    "NamedExpr": walk_walrus,
    "Set": walk_elements,
    "SetComp": walk_comprehension,
    "Starred": walk_value,
    "Subscript": walk_member,
    "Tuple": walk_elements,
    "keyword": walk_value,
}

"""Handles the statements that bind names or steer the flow; definitions have their own file."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from kernelext.cell.flow import Loop, State, join
from kernelext.cell.reader import Handler, Reader
from kernelext.cell.scopes import ScopeKind, children_of

# Their `__exit__` may end an exception, so what their body binds is not sure afterwards. Others
# are taken to let it pass: else every name bound within `with open(...)` would be in doubt.
_SWALLOWERS = frozenset(("AsyncExitStack", "ExitStack", "assertRaises", "raises", "suppress"))


def walk_assign(reader: Reader, node: ast.Assign) -> Sequence[Any]:
    """Walk the value, then the targets."""
    return (node.value, *node.targets)


def walk_augmented(reader: Reader, node: ast.AugAssign) -> Sequence[Any]:
    """Read the target, walk the value, bind the target."""
    if isinstance(node.target, ast.Name):
        reader.read(node.target.id, node.target)
        return (node.value, node.target)
    return (node.target, node.value)


def walk_annotated(reader: Reader, node: ast.AnnAssign) -> Sequence[Any]:
    """Walk value, target and, outside functions, the annotation."""
    annotation = [node.annotation]
    if reader.scope.kind is ScopeKind.FUNCTION or reader.has_lazy_annotations:
        annotation = []
    if node.value is None:
        # `x: int` binds nothing; `a.x: int` evaluates `a`, and stores nothing.
        target = [] if isinstance(node.target, ast.Name) else [_without_store(node.target)]
        return (*target, *annotation)
    return (node.value, node.target, *annotation)


def _without_store(target: Any) -> Any:
    if isinstance(target, ast.Subscript):
        return ast.Tuple(elts=[target.value, target.slice], ctx=ast.Load())
    return target.value


def walk_import(reader: Reader, node: Any) -> None:
    """Bind what an import binds; a star binds names unknown."""
    for alias in node.names:
        name = alias.asname or alias.name
        if not alias.asname and isinstance(node, ast.Import):
            name = name.split(".")[0]
        if name != "*":
            reader.bind(name, alias if hasattr(alias, "lineno") else node)


def walk_assert(reader: Reader, node: ast.Assert) -> None:
    """Walk an assertion, which Python may have been told to skip."""
    before = reader.state.copy()
    reader.walk(node.test)
    if node.msg is not None:
        after_test = reader.state.copy()
        reader.walk(node.msg)
        reader.state = after_test
    reader.state = join((before, reader.state))


def walk_end(reader: Reader, node: Any) -> None:
    """End the path at a `raise`, `return`, `break` or `continue`."""
    for part in (getattr(node, field) for field in node._fields):
        if part is not None:
            reader.walk(part)
    if isinstance(node, ast.Break):
        reader.loops[-1].breaks.append(reader.state.copy())
    elif isinstance(node, ast.Continue):
        reader.loops[-1].continues.append(reader.state.copy())
    reader.state.alive = False


def _constant_truth(test: ast.expr) -> bool | None:
    return bool(test.value) if isinstance(test, ast.Constant) else None


def walk_if(reader: Reader, node: ast.If) -> None:
    """Walk both branches, or the one that a constant chooses."""
    truth = _constant_truth(node.test)
    if truth is not None:
        reader.walk_body(node.body if truth else node.orelse)
        return
    reader.walk(node.test)
    before = reader.state.copy()
    reader.walk_body(node.body)
    after_body, reader.state = reader.state, before
    reader.walk_body(node.orelse)
    reader.state = join((after_body, reader.state))


def walk_for(reader: Reader, node: Any) -> None:
    """Walk a `for` loop, whose body may run not at all."""
    reader.walk(node.iter)
    before = reader.state.copy()
    loop = Loop()
    reader.loops.append(loop)
    reader.walk(node.target)
    reader.walk_body(node.body)
    reader.loops.pop()
    again = join((reader.state, *loop.continues))
    _leave_loop(reader, node, loop, again if _is_filled(node.iter) else before, again)


def walk_while(reader: Reader, node: ast.While) -> None:
    """Walk a `while` loop, whose test is evaluated at least once."""
    truth = _constant_truth(node.test)
    reader.walk(node.test)
    before = reader.state.copy()
    if truth is True:
        before.alive = False
    loop = Loop()
    reader.loops.append(loop)
    reader.walk_body(() if truth is False else node.body)
    reader.loops.pop()
    _leave_loop(reader, node, loop, before, join((reader.state, *loop.continues)))


def _leave_loop(reader: Reader, node: Any, loop: Loop, after: State, again: State) -> None:
    carried = again.present if again.alive else set()
    reader.state = after.copy()
    reader.state.present |= carried
    reader.walk_body(node.orelse)
    for state in loop.breaks:
        state.present |= carried
    reader.state = join((reader.state, *loop.breaks))


def _is_filled(iterable: ast.expr) -> bool:
    return isinstance(iterable, (ast.List, ast.Tuple)) and any(
        not isinstance(item, ast.Starred) for item in iterable.elts
    )


def walk_with(reader: Reader, node: Any) -> None:
    """Walk a `with` block; some managers end an exception of its body."""
    first = node.items[0]
    mark = len(reader.log)
    entered = reader.state
    for item in node.items:
        reader.walk(item.context_expr)
        if item is first:
            entered = reader.state.copy()
        if item.optional_vars is not None:
            reader.walk(item.optional_vars)
    reader.walk_body(node.body)
    if not reader.state.alive or any(_may_swallow(reader, item) for item in node.items):
        stopped = State(entered.replaced, entered.present | set(reader.log[mark:]))
        reader.state = join((stopped, reader.state))


def _may_swallow(reader: Reader, item: ast.withitem) -> bool:
    manager: Any = item.context_expr
    while isinstance(manager, (ast.Await, ast.Call)):
        manager = manager.func if isinstance(manager, ast.Call) else manager.value
    if isinstance(manager, ast.Attribute):
        return manager.attr in _SWALLOWERS
    if isinstance(manager, ast.Name):
        return manager.id in _SWALLOWERS or manager.id in reader.definitions
    return False


def walk_try(reader: Reader, node: Any) -> None:
    """Walk a `try` statement, whose body may stop anywhere."""
    before, mark = reader.state.copy(), len(reader.log)
    breaks = reader.loops[-1].breaks[:] if reader.loops else []
    reader.walk_body(node.body)
    stopped = State(before.replaced, before.present | set(reader.log[mark:]))
    reader.walk_body(node.orelse)
    ends = [reader.state]
    for handler in node.handlers:
        reader.state = stopped.copy()
        _walk_handler(reader, handler)
        ends.append(reader.state)
    reader.state = join(ends)
    if node.finalbody:
        stopped = State(before.replaced, before.present | set(reader.log[mark:]))
        _walk_finally(reader, node.finalbody, stopped, breaks)


def _walk_handler(reader: Reader, handler: ast.ExceptHandler) -> None:
    if handler.type is not None:
        reader.walk(handler.type)
    if handler.name:
        # The name is gone when the handler ends, and was never the cell's to bring home.
        reader.unbind(handler.name)
    reader.walk_body(handler.body)
    if handler.name:
        reader.unbind(handler.name)


def _walk_finally(
    reader: Reader, body: Sequence[Any], stopped: State, earlier_breaks: Sequence[State]
) -> None:
    normal, mark = reader.state, len(reader.log)
    reader.state = stopped.copy()
    reader.walk_body(body)
    after = reader.state
    bound = after.present & set(reader.log[mark:])
    deleted = stopped.present - after.present
    after.alive = after.alive and normal.alive
    after.replaced |= normal.replaced
    after.present = (normal.present - deleted) | bound
    for loop in reader.loops[-1:]:
        # A `break` out of the body passes through here as well.
        for state in loop.breaks:
            if state not in earlier_breaks:
                state.present |= bound
        for state in loop.continues:
            state.present |= bound


def walk_match(reader: Reader, node: Any) -> None:
    """Walk a `match` statement, one case after the other."""
    reader.walk(node.subject)
    ends = []
    falling = reader.state
    for case in node.cases:
        reader.state = falling.copy()
        reader.walk(case.pattern)
        falling.alive = not _matches_all(case)
        if case.guard is not None:
            reader.walk(case.guard)
            # A guard that fails leaves the captures bound.
            falling.present |= reader.state.present
        reader.walk_body(case.body)
        ends.append(reader.state)
        if not falling.alive:
            break
    reader.state = join((falling, *ends))


def _matches_all(case: Any) -> bool:
    pattern = case.pattern
    if case.guard is not None:
        return False
    while type(pattern).__name__ == "MatchAs" and pattern.pattern is not None:
        pattern = pattern.pattern
    return type(pattern).__name__ == "MatchAs"


def walk_capture(reader: Reader, node: Any) -> None:
    """Walk a pattern, then bind the name that it captures."""
    for child in children_of(node):
        reader.walk(child)
    name = node.rest if type(node).__name__ == "MatchMapping" else node.name
    if name is not None:
        reader.bind(name, node)


STATEMENTS: dict[str, Handler] = {
    "AnnAssign": walk_annotated,
    "Assert": walk_assert,
    "Assign": walk_assign,
    "AsyncFor": walk_for,
    "AsyncWith": walk_with,
    "AugAssign": walk_augmented,
    "Break": walk_end,
    "Continue": walk_end,
    "For": walk_for,
    "If": walk_if,
    "Import": walk_import,
    "ImportFrom": walk_import,
    "Match": walk_match,
    "MatchAs": walk_capture,
    "MatchMapping": walk_capture,
    "MatchStar": walk_capture,
    "Raise": walk_end,
    "Return": walk_end,
    "Try": walk_try,
    "TryStar": walk_try,
    "While": walk_while,
    "With": walk_with,
}

"""Reads which names a cell takes from the notebook and gives back; executes nothing."""

from __future__ import annotations

import ast
import functools
import re
from dataclasses import dataclass

from kernelext.cell.definitions import DEFINITIONS
from kernelext.cell.expressions import EXPRESSIONS
from kernelext.cell.imports import Import, import_statements, imported_modules
from kernelext.cell.reader import LOOKUPS, Handler, Position, Reader
from kernelext.cell.scopes import Scope, ScopeKind, collect_bindings
from kernelext.cell.source import parse
from kernelext.cell.statements import STATEMENTS

# Keyed by name where they are defined: an older Python lacks some of the types.
_HANDLERS: dict[type, Handler] = {
    getattr(ast, name): handler
    for name, handler in {**EXPRESSIONS, **STATEMENTS, **DEFINITIONS}.items()
    if hasattr(ast, name)
}
# Cells are run again and again as they are: these cost a look-up each.
_CELLS_KEPT = 32
_WORD = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True)
class CellNames:
    """The names of a cell, each tuple in order of first appearance.

    Parameters
    ----------
    inputs : tuple of str
        What the cell may read from the notebook, builtins included; in doubt a name is here.
    outputs : tuple of str
        What the cell may have bound when it ends.
    changed : tuple of str
        The inputs that a subscript, attribute or method call may change in place.
    imports : tuple of str
        The top-level modules that the cell imports.
    spelled : tuple of str
        The words of the cell's texts, in which `eval`, `globals()` and the like may name
        variables; empty where the cell reads none of these.
    unbound : tuple of str
        What the cell may delete and reads nowhere, as `except ... as error` does with its name.
    magic : str
        The first line that needs IPython, as a message names it; empty for none.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    changed: tuple[str, ...]
    imports: tuple[str, ...]
    spelled: tuple[str, ...] = ()
    unbound: tuple[str, ...] = ()
    magic: str = ""


@functools.lru_cache(maxsize=_CELLS_KEPT)
def read_cell(source: str) -> CellNames:
    """Find the names that a cell reads, binds and changes.

    Parameters
    ----------
    source : str
        The cell without its `%%remote` line; magics and shell lines are read too.

    Returns
    -------
    CellNames
        A name is an input unless the cell has surely replaced it before every read. A manager
        other than `contextlib.suppress` and its like is taken to let exceptions pass.

    Raises
    ------
    CellSyntaxError
        The text is no Python, or a magic makes no sense on another machine.

    Examples
    --------
    >>> names = read_cell("import json\\nmodel = SVC(**params).fit(X, y)\\nscores.append(json)")
    >>> names.inputs
    ('SVC', 'params', 'X', 'y', 'scores')
    >>> names.outputs, names.changed, names.imports
    (('json', 'model'), ('scores',), ('json',))
    """
    tree, plain = parse(source)
    imports = list(import_statements(tree))
    reader = _read(tree, imports, has_walrus=":=" in plain.text)
    return CellNames(
        inputs=_in_order(reader.facts.read),
        outputs=_in_order(_kept(reader)),
        changed=_in_order(reader.facts.changed),
        imports=imported_modules(imports),
        spelled=() if LOOKUPS.isdisjoint(reader.facts.read) else _words_of_texts(tree),
        unbound=tuple(sorted(reader.facts.unbound - reader.facts.read.keys())),
        magic=plain.first_magic,
    )


def _read(tree: ast.Module, imports: list[Import], *, has_walrus: bool) -> Reader:
    has_lazy_annotations = any(
        alias.name == "annotations"
        for node in imports
        if isinstance(node, ast.ImportFrom) and node.module == "__future__"
        for alias in node.names
    )
    scope = Scope(ScopeKind.MODULE)
    scope.has_walrus = has_walrus
    reader = Reader(_HANDLERS, scope, has_lazy_annotations=has_lazy_annotations)
    try:
        reader.walk_body(tree.body)
        reader.finish()
    except RecursionError:
        return _read_roughly(tree)
    return reader


def _words_of_texts(tree: ast.Module) -> tuple[str, ...]:
    words: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            words.update(dict.fromkeys(_WORD.findall(node.value)))
    return tuple(words)


def _kept(reader: Reader) -> dict[str, Position]:
    present = reader.state.present | reader.bound_later
    return {
        name: position
        for name, position in reader.facts.bound.items()
        if name in present and name != "_" and not _is_dunder(name)
    }


def _is_dunder(name: str) -> bool:
    return len(name) > 4 and name.startswith("__") and name.endswith("__")


def _in_order(positions: dict[str, Position]) -> tuple[str, ...]:
    return tuple(sorted(positions, key=positions.__getitem__))


def _read_roughly(tree: ast.Module) -> Reader:
    """Take every name for an input, for one that is changed and, if it is bound, for an output.

    For a tree too deep to be walked: a few hundred `elif`, as generated code has them.
    """
    reader = Reader({}, Scope(ScopeKind.MODULE))
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            reader.read(node.id, node, is_changed=True)
        elif isinstance(node, ast.Global):
            reader.bound_later.update(node.names)
    reader.bound_later |= collect_bindings(tree.body).bound
    for name in reader.bound_later:
        reader.bind(name, tree)
    return reader

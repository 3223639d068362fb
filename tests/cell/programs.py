"""Writes small random programs and runs them in a notebook that notes what they read."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from random import Random
from typing import Any

NAMES = ("a", "b", "c", "d", "f", "g")


class Boom(Exception):
    """What the programs raise."""


class Writer:
    """Writes one program; every choice comes from `random`, so that hypothesis can shrink it."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.lines: list[str] = []

    def write(self) -> str:
        self.block(0, depth=3, inside="module")
        return "\n".join(self.lines)

    def name(self) -> str:
        return self.random.choice(NAMES)

    def emit(self, level: int, text: str) -> None:
        self.lines.append("    " * level + text)

    def block(self, level: int, depth: int, inside: str) -> None:
        for _ in range(self.random.randint(1, 4 if depth else 2)):
            self.statement(level, depth, inside)

    def expression(self, depth: int = 2) -> str:
        n, m = self.name(), self.name()
        if depth == 0:
            return n
        x, y = self.expression(depth - 1), self.expression(depth - 1)
        forms = (
            n,
            n,
            "1",
            f"({x}, {y})",
            f"call({n})",
            f"call({n})",
            f"({n} := {x})",
            f"({x} if coin() else {y})",
            f"(coin() and ({n} := {x}))",
            f"(1 < two() < len([{n} := {m}]))",
            f"[{x} for {n} in (1, 2)]",
            f"[{x} for {n} in ({m}, {m}) if coin()]",
            f"[({n} := {y}) for _i in (1, 2) if coin()]",
            f"list({x} for {n} in (1, {m}))",
            f"{{{n}_k: {x} for {n}_k in (1, 2)}}",
            f"{{1: {x}, 2: {y}}}",
            f"call(lambda: {x.replace(':=', '==')})",
            f"(lambda {n}={m}: {x.replace(':=', '==')})",
            f"f'{{two({n}):>{{two({m})}}}}'",
        )
        return self.random.choice(forms)

    def simple(self, inside: str) -> str:
        n, m, x = self.name(), self.name(), self.expression()
        forms = [
            f"{n} = {x}",
            f"{n} = {x}",
            f"{n}, {m} = {x}, {x}",
            f"{n} = {m} = {x}",
            f"{n} += 1",
            f"{n}: two() = {x}",
            x,
            f"call({n})",
            f"call({n})",
            f"del {n}",
            f"if coin(): del {n}",
            f"if coin(): raise Boom({n})",
            f"import math as {n}",
            f"{n}: {m}",
        ]
        if "loop" in inside:
            forms += ["break", "continue", "if coin(): break", "if coin(): continue"]
        if "function" in inside:
            forms += [f"return {x}", f"if coin(): return {x}"]
        return self.random.choice(forms)

    def statement(self, level: int, depth: int, inside: str) -> None:
        if depth == 0 or self.random.random() < 0.45:
            self.emit(level, self.simple(inside))
            return
        kinds: list[Callable[[int, int, str], None]] = [
            self.condition,
            self.loop,
            self.loop,
            self.attempt,
            self.attempt,
            self.manager,
            self.function,
            self.function,
            self.function,
            self.klass,
        ]
        if hasattr(ast, "Match"):
            kinds.append(self.match)
        self.random.choice(kinds)(level, depth - 1, inside)

    def condition(self, level: int, depth: int, inside: str) -> None:
        self.emit(level, self.random.choice(("if coin():", f"if coin() and {self.expression()}:")))
        self.block(level + 1, depth, inside)
        if self.random.random() < 0.5:
            self.emit(level, self.random.choice(("else:", "elif coin():")))
            self.block(level + 1, depth, inside)

    def loop(self, level: int, depth: int, inside: str) -> None:
        n, x = self.name(), self.expression()
        heads = (
            f"for {n} in (1, 2):",
            f"for {n} in [{x}, 2]:",
            f"for {n} in items():",
            "while coin():",
            f"while ({n} := coin()):",
            "while True:",
        )
        self.emit(level, self.random.choice(heads))
        # Every turn takes a step, so that `while True` ends too.
        self.emit(level + 1, "coin()")
        self.block(level + 1, depth, inside + " loop")
        if self.random.random() < 0.3:
            self.emit(level, "else:")
            self.block(level + 1, depth, inside)

    def attempt(self, level: int, depth: int, inside: str) -> None:
        self.emit(level, "try:")
        self.block(level + 1, depth, inside)
        handlers = self.random.randint(0, 2)
        for number in range(handlers):
            catch = "Boom" if number == 0 and handlers == 2 else "Exception"
            alias = self.random.choice(("", f" as {self.name()}"))
            self.emit(level, f"except {catch}{alias}:")
            self.block(level + 1, depth, inside)
        if handlers and self.random.random() < 0.4:
            self.emit(level, "else:")
            self.block(level + 1, depth, inside)
        if not handlers or self.random.random() < 0.4:
            self.emit(level, "finally:")
            self.block(level + 1, depth, inside)

    def manager(self, level: int, depth: int, inside: str) -> None:
        target = self.random.choice(("", f" as {self.name()}"))
        managers = ("suppress(Exception)", "quiet(two())", "suppress(Boom), quiet(call(f))")
        self.emit(level, f"with {self.random.choice(managers)}{target}:")
        self.block(level + 1, depth, inside)

    def function(self, level: int, depth: int, inside: str) -> None:
        n, m = self.name(), self.name()
        decorator = self.random.random() < 0.15
        if decorator:
            # A definition called while it is made may not need its own former value.
            self.emit(level, "@now")
            n = "made"
        self.emit(level, f"def {n}({self.random.choice(('', f'{m}={self.expression()}'))}):")
        if self.random.random() < 0.4:
            free = [name for name in NAMES if name != m]
            self.emit(level + 1, f"global {self.random.choice(free)}")
        self.block(level + 1, depth, "function")
        if self.random.random() < 0.5:
            self.emit(level, f"call({n})")

    def klass(self, level: int, depth: int, inside: str) -> None:
        n = self.name()
        self.emit(level, f"class {n}{self.random.choice(('', '(object)'))}:")
        if self.random.random() < 0.2:
            self.emit(level + 1, f"global {self.name()}")
        self.block(level + 1, depth, "class")
        if self.random.random() < 0.7:
            method = self.random.choice(("__init__", "f"))
            self.emit(level + 1, f"def {method}(self):")
            self.block(level + 2, depth, "method")

    def match(self, level: int, depth: int, inside: str) -> None:
        self.emit(level, f"match {self.expression()}:")
        for _ in range(self.random.randint(1, 2)):
            n, m = self.name(), self.name()
            patterns = (f"({n}, _)", f"1 as {n}", "1", f"[*{n}]", f"{{1: _, **{n}}}")
            guard = self.random.choice(("", f" if ({m}, coin())[1]"))
            self.emit(level + 1, f"case {self.random.choice(patterns)}{guard}:")
            self.block(level + 2, depth, inside)
        if self.random.random() < 0.5:
            self.emit(level + 1, f"case {self.random.choice(('_', self.name()))}:")
            self.block(level + 2, depth, inside)


class Notebook(dict[str, Any]):
    """A namespace that notes which of the notebook's own values are read."""

    def __init__(self, values: dict[str, Any], tools: dict[str, Any]) -> None:
        super().__init__(values, __builtins__=tools, __name__="__main__")
        self.original = dict(values)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        value = super().__getitem__(name)
        if name in self.original and value is self.original[name]:
            self.read.add(name)
        return value

    def bound(self) -> set[str]:
        """List the names whose value is not the notebook's."""
        return {
            name
            for name, value in self.items()
            if name not in ("__builtins__", "__name__", "__annotations__")
            and not (name in self.original and value is self.original[name])
        }


class TooLong(BaseException):
    """A program has taken too many steps."""


def make_tools(seed: int) -> dict[str, Any]:
    """Return the builtins of a program, whose coin falls the same way for the same seed."""
    random = Random(seed)
    steps = 0
    depth = 0

    def coin() -> bool:
        nonlocal steps
        steps += 1
        if steps > 60:
            raise TooLong
        return random.random() < 0.55

    def call(value: Any) -> Any:
        nonlocal depth
        coin()
        if not callable(value) or depth > 3 or isinstance(value, type(len)):
            return 0
        depth += 1
        try:
            return value()
        finally:
            depth -= 1

    def now(function: Any) -> Any:
        with suppress(Exception):
            call(function)
        return function

    @contextmanager
    def quiet(value: Any) -> Iterator[Any]:
        yield value

    tools = dict(vars(builtins))
    tools.update(coin=coin, call=call, now=now, quiet=quiet, suppress=suppress, Boom=Boom)
    tools.update(two=lambda *values: 2, items=lambda: [1] * random.randint(0, 2))
    return tools


def run(source: str, seed: int, names: set[str]) -> tuple[Notebook, str]:
    """Execute a program in a notebook of these names.

    Returns
    -------
    Notebook
        Its namespace after the end.
    str
        How it ended: the exception's type, or nothing.
    """
    tools = make_tools(seed)
    values: dict[str, Any] = {name: (name, "notebook") for name in sorted(names & set("abcd"))}
    notebook = Notebook(values, tools)
    if "f" in names:
        notebook.original["f"] = lambda: ("f", "notebook")
    if "g" in names:
        notebook.original["g"] = lambda: ("g", "notebook")
    notebook.update(notebook.original)
    end = ""
    try:
        exec(compile(source, "<program>", "exec"), notebook)
    except (Exception, TooLong) as error:
        end = type(error).__name__
    return notebook, end

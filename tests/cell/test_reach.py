"""Closing names over a notebook's functions and classes."""

from __future__ import annotations

import functools
import json
import types
from typing import Any

import pytest

from kernelext.cell import reach


def make_notebook(source: str, **values: Any) -> dict[str, Any]:
    notebook: dict[str, Any] = {"__name__": "__main__", "functools": functools, "json": json}
    notebook.update(values)
    exec(compile(source, "<notebook>", "exec"), notebook)
    return notebook


@pytest.mark.parametrize(
    ("source", "names", "expected"),
    [
        ("def f(): return a", "f", "f a"),
        ("def f(): return g()\ndef g(): return h() + b\ndef h(): return a", "f", "f g h b a"),
        ("def f(): return g()\ndef g(): return f()", "f", "f g"),
        ("def f(): return a", "b f", "b f a"),
        ("def f(): return missing, print, __name__", "f", "f"),
        ("def f(x): return x.a", "f", "f"),
        ("def f():\n    def g():\n        return [a for _ in ()]\n    return g", "f", "f a"),
        ("def f():\n    class C:\n        x = a\n    return C", "f", "f a"),
        ("def f():\n    global a\n    a = 1", "f", "f"),
        ("f = lambda: a", "f", "f a"),
        ("async def f(): yield a", "f", "f a"),
        ("def g(): return a\nf = functools.partial(g, 1)", "f", "f a"),
        ("def g(): return a\nf = functools.partial(print, key=g)", "f", "f a"),
        ("@functools.lru_cache\ndef f(): return a", "f", "f a"),
        ("def g(): return a\n@functools.wraps(g)\ndef f(): return b", "f", "f b a"),
        (
            "def make(g):\n    def inner(): return g()\n    return inner\nf = make(lambda: a)",
            "f",
            "f a",
        ),
        (
            "def make():\n    def g(): return later\n    return g\n    later = 1\nf = make()",
            "f",
            "f",
        ),
        ("def g(): return a\ndef f(x=g, *, y=lambda: b): pass", "f", "f a b"),
        ("def g(): return a\nf = [1, (g,)]", "f", "f a"),
        ("def g(): return a\nf = {'k': {g}}", "f", "f a"),
        ("class f:\n    def m(self): return a", "f", "f a"),
        (
            "class f:\n    @property\n    def m(s): return a\n    @m.setter\n    def m(s, x): b",
            "f",
            "f a b",
        ),
        (
            "class f:\n    @staticmethod\n    def m(): a\n    @classmethod\n    def n(cls): b",
            "f",
            "f a b",
        ),
        ("class f:\n    @functools.cached_property\n    def m(self): return a", "f", "f a"),
        ("class B:\n    def m(self): return a\nclass f(B): pass", "f", "f a"),
        ("class M(type):\n    def m(cls): return a\nclass f(metaclass=M): pass", "f", "f a"),
        ("class f:\n    class I:\n        def m(self): return a", "f", "f a"),
        ("class C:\n    def m(self): return a\nf = C()", "f", "f a"),
        ("class C:\n    def m(self): return a\nf = C().m", "f", "f a"),
        ("class C:\n    pass\nf = C()\nf.call = lambda: a", "f", "f a"),
        ("class C:\n    __slots__ = ('x',)\n    def m(self): return a\nf = C()", "f", "f a"),
        ("class C:\n    def m(self): return super().m() + a\nf = C", "f", "f a"),
        ("f = json.JSONEncoder(default=lambda x: a)", "f", "f a"),
        ("class C:\n    __slots__ = ('x',)\nf = C()\nf.x = [lambda: a]", "f", "f a"),
        ("class C(list): pass\nf = C([lambda: a])", "f", "f a"),
        ("import collections\nf = collections.deque([lambda: a])", "f", "f a"),
        ("import collections\nf = collections.defaultdict(list, k=[lambda: a])", "f", "f a"),
        ("class C(tuple): pass\nf = C([lambda: a])", "f", "f a"),
        ("f = {lambda: a: 1}", "f", "f a"),
        ("import types\nf = types.MappingProxyType({'k': lambda: a})", "f", "f a"),
        ("class C:\n    def m(self): return a\nf = [C()].append", "f", "f a"),
        ("f = ValueError(lambda: a)", "f", "f a"),
        ("f = json.dumps", "f", "f"),
        ("f = json", "f", "f"),
        ("f = 1", "f missing __name__", "f"),
    ],
)
def test_reach_closes_over(source: str, names: str, expected: str) -> None:
    notebook = make_notebook(source, a=1, b=2)
    reached = reach(names.split(), notebook)
    kept = tuple(name for name in reached if len(name) == 1 and name not in "BCM")
    assert kept == tuple(expected.split())


def test_reach_names_helpers_in_order_of_discovery() -> None:
    notebook = make_notebook(
        "class C:\n    def m(self): return helper(a)\ndef helper(x): return b", a=1, b=2
    )
    assert reach(["C"], notebook) == ("C", "helper", "a", "b")


def test_reach_leaves_library_functions_alone() -> None:
    library: dict[str, Any] = {"__name__": "library", "a": 1}
    exec(
        "def f(): return a\ndef decorate(g):\n    def inner(): return g(), b\n    return inner",
        library,
    )
    notebook = make_notebook("", f=library["f"], decorate=library["decorate"], a=2, b=3, c=4)
    assert reach(["f"], notebook) == ("f",)
    exec("@decorate\ndef g(): return c", notebook)
    assert reach(["g"], notebook) == ("g", "c")


def test_reach_follows_functions_of_main_in_a_copied_namespace() -> None:
    notebook = make_notebook("def f(): return a", a=1)
    assert reach(["f"], types.MappingProxyType(dict(notebook))) == ("f", "a")


def test_reach_executes_nothing_of_the_user() -> None:
    source = """
def refuse(*args, **kwargs):
    raise AssertionError("user code ran")
class Meta(type):
    __eq__ = __hash__ = __getattribute__ = __instancecheck__ = __subclasscheck__ = refuse
    __call__ = type.__call__
class Odd(metaclass=Meta):
    __eq__ = __hash__ = __getattr__ = __len__ = __iter__ = __bool__ = __get__ = refuse
    def __getattribute__(self, name):
        return refuse()
    @property
    def __class__(self):
        return refuse()
    @property
    def p(self):
        return refuse(a)
class NoDict(metaclass=Meta):
    __slots__ = ()
    __dict__ = property(refuse)
    __module__ = "__main__"
class Name:
    __eq__ = __hash__ = refuse
odd, no_dict = Odd(), NoDict()
class Holder:
    odd = [odd]
    __doc__ = odd
def f(x=odd): return b, no_dict
f.odd = odd
f.__module__ = Name()
"""
    notebook = make_notebook(source, a=1, b=2)
    reached = reach(["odd", "no_dict", "f", "Odd", "Holder", "Name"], notebook)
    assert set(reached) >= {"odd", "no_dict", "f", "a", "b", "refuse"}


def test_reach_stops_at_large_containers_and_many_objects() -> None:
    notebook = make_notebook("class N: pass\ndef g(): return a", a=1)
    notebook["big"] = [notebook["g"]] * 1001
    assert reach(["big"], notebook) == ("big",)
    notebook["many"] = [[notebook["N"]() for _ in range(1000)] for _ in range(50)]
    assert reach(["many", "g"], notebook) == ("many", "g", "a")


def test_reach_survives_cycles() -> None:
    notebook = make_notebook("x = []\nx.append(x)\nclass C: pass\nc = C()\nc.c = c\nC.x = x")
    assert reach(["x", "c"], notebook) == ("x", "c")

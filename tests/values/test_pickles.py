"""Functions and classes of the notebook are rebuilt over the other side's namespace."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from kernelext.errors import ValueCodecError
from kernelext.values import decode, encode, identity, reducers

from .trips import elsewhere, joined, new_namespace

NOTEBOOK = """
import functools, math, dataclasses, enum, collections, typing
K = 2
def add(x, y=1, *, z=0) -> "int":
    "Adds."
    return x + y + z + K
def fact(n): return 1 if n < 2 else n * fact(n - 1)
def outer(a):
    b = [a]
    def inner(x): return (x, a, b, K)
    return inner
closure = outer(5)
double = lambda x: x * K
held = {"f": [double, add], "g": (double,)}
part = functools.partial(add, 1, z=10)
def traced(f):
    @functools.wraps(f)
    def wrapper(*args): return ("traced", K, f(*args))
    return wrapper
@traced
def shout(x): return x.upper()
@functools.lru_cache(maxsize=7)
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
class Base:
    def scale(self): return K
class Model(Base):
    made = 0
    def __init__(self, x): self.x = x; Model.made += 1
    def scale(self): return super().scale() * self.x
    @property
    def area(self): return self.x ** 2
    @functools.cached_property
    def slow(self): return self.x + K
    @staticmethod
    def still(): return K
    @classmethod
    def new(cls): return cls(K)
    @functools.lru_cache
    def cached(self, n): return n + K
    def __eq__(self, other): return type(other) is Model and other.x == self.x
    def __hash__(self): return hash(self.x)
model = Model(3)
method = model.scale
@dataclasses.dataclass(order=True)
class Row:
    a: int
    b: list = dataclasses.field(default_factory=list)
row = Row(1, [2])
class Colour(enum.Enum):
    RED = 1
    def shade(self): return K
red = Colour.RED
Point = collections.namedtuple("Point", "x y")
point = Point(1, 2)
class Pair(typing.NamedTuple):
    left: int
    right: str = "r"
pair = Pair(1)
def gen(n):
    for i in range(n): yield i * K
async def later(): return K
def sq(x): return math.sqrt(x)
def ask(): return absent
def unannotated(m: Model) -> Row: return m
"""


@pytest.fixture
def notebook() -> dict[str, Any]:
    return new_namespace(NOTEBOOK)


@pytest.fixture
def other() -> dict[str, Any]:
    import math

    return {"__name__": "__main__", "K": 100, "math": math}


def moved(name: str, notebook: dict[str, Any], other: dict[str, Any]) -> Any:
    encoded = encode(name, notebook[name], notebook)
    assert encoded.ref.codec == "pickle"
    other[name] = decode(encoded.ref, joined(encoded), other)
    return other[name]


@pytest.mark.parametrize(
    ("name", "call", "expected"),
    [
        ("add", "add(1), add(1, z=5), add.__doc__", (102, 107, "Adds.")),
        ("add", "add.__annotations__, add.__module__", ({"return": "int"}, "__main__")),
        ("fact", "fact(5)", 120),
        ("closure", "closure(1)", (1, 5, [5], 100)),
        ("double", "double(3)", 300),
        ("held", "held['f'][0] is held['g'][0], held['f'][1](0)", (True, 101)),
        ("part", "part(2)", 113),
        ("shout", "shout('a'), shout.__name__", (("traced", 100, "A"), "shout")),
        ("fib", "fib(30), fib.cache_parameters()['maxsize']", (832040, 7)),
        ("model", "model.scale(), model.area, model.slow", (300, 9, 103)),
        ("model", "model.still(), type(model).__name__, model.cached(1)", (100, "Model", 101)),
        ("method", "method()", 300),
        ("Colour", "Colour.RED.shade(), Colour['RED'].value", (100, 1)),
        ("gen", "list(gen(3))", [0, 100, 200]),
        ("sq", "sq(9)", 3.0),
        ("unannotated", "unannotated.__annotations__['m'].__name__", "Model"),
    ],
)
def test_function_reads_the_new_namespace(
    name: str, call: str, expected: Any, notebook: dict[str, Any], other: dict[str, Any]
) -> None:
    before = set(other)
    moved(name, notebook, other)

    assert set(other) == {*before, name}
    assert eval(call, other) == expected


def test_globals_are_the_namespace_itself(notebook: dict[str, Any], other: dict[str, Any]) -> None:
    assert moved("add", notebook, other).__globals__ is other
    assert moved("Model", notebook, other).scale.__globals__ is other
    assert moved("closure", notebook, other).__globals__ is other
    other["K"] = 7
    assert other["add"](0) == 8


def test_unbound_global_is_the_cells_own_error(
    notebook: dict[str, Any], other: dict[str, Any]
) -> None:
    with pytest.raises(NameError, match="absent"):
        moved("ask", notebook, other)()


def test_globals_do_not_travel(notebook: dict[str, Any]) -> None:
    notebook["K"] = b"a secret of the notebook"
    for name in ("add", "model", "closure", "shout", "held"):
        assert b"secret" not in joined(encode(name, notebook[name], notebook))


def test_builtins_of_the_namespace_stay(notebook: dict[str, Any]) -> None:
    import builtins

    bare: dict[str, Any] = {}
    moved("fact", notebook, bare)
    assert set(bare) == {"fact"}
    assert bare["fact"](4) == 24

    usual: dict[str, Any] = {"__builtins__": builtins}
    moved("fact", notebook, usual)
    assert usual["__builtins__"] is builtins


def test_identity_of_a_function_is_stable_and_follows_its_code(notebook: dict[str, Any]) -> None:
    first = identity("add", notebook["add"], notebook)
    notebook["K"] = 3
    assert identity("add", notebook["add"], notebook) == first
    again = new_namespace("def add(x): return x - 1")
    assert identity("add", again["add"], again) != first


def test_classes_and_instances_agree_over_there(
    notebook: dict[str, Any], other: dict[str, Any]
) -> None:
    moved("model", notebook, other)
    moved("Model", notebook, other)
    assert type(other["model"]) is other["Model"]


def test_round_trip_to_another_interpreter(notebook: dict[str, Any], tmp_path: Path) -> None:
    cell = """
model.x += add(0)
out = [model, Model(8), shout("a"), closure(0), row, red, point, pair, fib(10), part(0)]
out += [double, list(gen(2)), later]
"""
    names = "add Model model shout closure row Row red Colour point pair fib part double gen later"
    out = elsewhere(tmp_path, cell, notebook, names, K=10)

    assert out[0] == notebook["Model"](14)
    assert type(out[0]) is type(out[1]) is notebook["Model"]
    assert out[2:4] == [("traced", 10, "A"), (0, 5, [5], 10)]
    assert out[4] == notebook["row"]
    assert out[5] is notebook["Colour"].RED
    assert out[6:8] == [(1, 2), (1, "r")]
    assert type(out[6]) is notebook["Point"]
    assert type(out[7]) is notebook["Pair"]
    assert out[8:10] == [55, 21]
    assert out[10].__globals__ is notebook
    assert out[10](1) == 2
    assert out[11] == [0, 10]


def test_class_of_a_cell_comes_home(notebook: dict[str, Any], tmp_path: Path) -> None:
    cell = "class New:\n def m(self): return K\nout = New()"
    out = elsewhere(tmp_path, cell, notebook, "", K=10)

    assert type(out).__module__ == "__main__"
    assert out.m() == 2


def test_code_of_another_python_is_refused(
    notebook: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = encode("add", notebook["add"], notebook)
    monkeypatch.setattr(reducers, "PYTHON", (3, 99))
    with pytest.raises(ValueCodecError, match=r"`add` holds code .* this is Python 3.99"):
        decode(encoded.ref, joined(encoded), {})


def test_importable_things_go_by_reference(notebook: dict[str, Any]) -> None:
    data = joined(encode("f", [elsewhere, Path, pickle.dumps], notebook))
    assert b"Run a cell in another" not in data
    assert (
        decode(
            encode("f", [elsewhere], notebook).ref, joined(encode("f", [elsewhere], notebook)), {}
        )[0]
        is elsewhere
    )


def test_wrapper_of_a_module_keeps_that_modules_globals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: dict[str, Any]
) -> None:
    (tmp_path / "decorators_of_mine.py").write_text(
        "import functools, threading\n"
        "lock = threading.Lock()\n"
        "calls = []\n"
        "def logged(f):\n"
        "    @functools.wraps(f)\n"
        "    def wrapper(*a):\n"
        "        with lock: calls.append(a)\n"
        "        return f(*a)\n"
        "    return wrapper\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    notebook = new_namespace(
        "import decorators_of_mine\n@decorators_of_mine.logged\ndef f(x): return x + K"
    )
    assert moved("f", notebook, other)(1) == 101
    assert notebook["decorators_of_mine"].calls == [(1,)]


HOOKED = """
class Base:
    made = []
    def __init_subclass__(cls, *, tag="none", **rest):
        super().__init_subclass__(**rest)
        cls.tag = tag
        Base.made.append(cls.__name__)
class Named(Base, tag="t"): pass
named = Named()
"""


CONTAINERS = """
from collections import OrderedDict, defaultdict

class Doubling(dict):
    def __setitem__(self, key, value):
        super().__setitem__(key, value * 2)

class Ordered(OrderedDict):
    def __setitem__(self, key, value):
        super().__setitem__(key, value * 2)

class Counting(list):
    __slots__ = ("count",)
    def append(self, value):
        self.count = getattr(self, "count", 0) + 1
        super().append(value)

class Own(dict):
    def __setitem__(self, key, value):
        raise RuntimeError
    def __reduce__(self):
        return type(self), (dict(self),)

d = Doubling(a=1)
d["b"] = 2
d.note = "kept"
d["self"] = ()
dict.__setitem__(d, "self", d)
o = Ordered(z=1)
o["y"] = 2
o.move_to_end("z")
l = Counting([1])
l.append(2)
n = Own({"x": 1})
"""


def test_items_go_in_once_whatever_the_class_does_with_them(tmp_path: Path) -> None:
    namespace = new_namespace(CONTAINERS)
    cell = (
        "out = [d['a'], d['b'], d.note, d['self'] is d, list(o.items()), list(l), l.count, dict(n)]"
    )
    out = elsewhere(tmp_path, cell, namespace, "d o l n")
    assert out[:4] == [1, 4, "kept", True]
    assert out[4] == [("y", 4), ("z", 2)]
    assert (out[5], out[6]) == ([1, 2], 1)
    assert out[7] == {"x": 1}


def test_hooks_do_not_run_again(tmp_path: Path) -> None:
    notebook = new_namespace(HOOKED)
    cell = "class New(Named, tag='n'): pass\nout = named, Named.tag, list(Base.made), New()"
    out = elsewhere(tmp_path, cell, notebook, "Base Named named")

    assert type(out[0]) is notebook["Named"]
    assert out[1:3] == ("t", ["Named", "New"])
    assert type(out[3]).tag == "n"
    assert notebook["Base"].made == ["Named", "New"]
    exec("class Later(Named): pass", notebook)
    assert notebook["Base"].made[2:] == ["Later"]


def test_hook_of_a_library_runs_where_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plugins_of_mine.py").write_text(
        "made = []\n"
        "class Free:\n"
        "    def __init_subclass__(cls): made.append(cls.__name__)\n"
        "class Strict:\n"
        "    def __init_subclass__(cls, *, tag): cls.tag = tag\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    notebook = new_namespace(
        "import plugins_of_mine\nclass F(plugins_of_mine.Free): pass\n"
        "class S(plugins_of_mine.Strict, tag='t'): pass\n"
    )
    cell = "import plugins_of_mine\nout = plugins_of_mine.made, S.tag"
    assert elsewhere(tmp_path, cell, notebook, "F S") == (["F"], "t")
    assert notebook["plugins_of_mine"].made == ["F"]


ENUMS = """
import datetime, enum
class Outer:
    class Inner(enum.Enum):
        A = 1
class Day(datetime.date, enum.Enum):
    def __new__(cls, *parts):
        made = datetime.date.__new__(cls, *parts)
        made._value_ = made.toordinal()
        made.parts = list(parts)
        return made
    FIRST = 2020, 1, 2
    ALSO = 2020, 1, 2
class Opposite(enum.Enum):
    UP = 1
    DOWN = -1
    def __init__(self, sign): self.other = None
Opposite.UP.other, Opposite.DOWN.other = Opposite.DOWN, Opposite.UP
class Mixed(str, enum.Enum):
    A = "a", "said"
    def __new__(cls, text, said):
        made = str.__new__(cls, text)
        made._value_ = text
        made.said = said
        return made
"""


def test_members_of_enums_keep_what_they_were_given(tmp_path: Path) -> None:
    notebook = new_namespace(ENUMS)
    cell = """
out = [Day.FIRST, Day.ALSO is Day.FIRST, Day.FIRST.parts, Day.FIRST.year]
out += [Opposite.UP.other, Opposite.DOWN.other is Opposite.UP, Mixed.A.said, Mixed("a") + "b"]
out.append(Outer.Inner.__qualname__)
Mixed.A.said = "changed"
out.append(Mixed.A)
"""
    out = elsewhere(tmp_path, cell, notebook, "Opposite Day Mixed Outer")

    assert out[0] is notebook["Day"].FIRST
    assert out[1:3] == [True, [2020, 1, 2]]
    assert out[3] == 2020
    assert out[4] is notebook["Opposite"].DOWN
    assert out[5:9] == [True, "said", "ab", "Outer.Inner"]
    assert notebook["Mixed"].A.said == "changed"

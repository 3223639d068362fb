"""Values that hold each other: what a cell changes in them is seen by all that hold them here."""

from __future__ import annotations

import pytest

from .notebook import Notebook

ARRAYS = "import numpy as np\nA = np.zeros(3)\nB = {'a': A}\nview = A[:2]\nholder = (A, B)"
LISTS = "A = [1]\nB = {'a': A, 'n': [A]}\nholder = (A, B)"

# One row a holder: how `s` comes to hold `buf`, and how a cell reaches `buf` through it.
HOLDERS = {
    "named tuple": (
        "from typing import NamedTuple\nclass S(NamedTuple):\n    data: list\ns = S(buf)",
        "s.data",
    ),
    "slots": (
        "class S:\n    __slots__ = ('data', '__own')\n    def own(self): return self.__own\n"
        "    def __init__(self, data): self.data, self.__own = None, data\ns = S(buf)",
        "s.own()",
    ),
    "data class with slots": (
        "class S:\n    __slots__ = ('data',)\nimport dataclasses\n@dataclasses.dataclass\n"
        "class T(S):\n    data: list\ns = T(buf)",
        "s.data",
    ),
    "partial": ("import functools\ns = functools.partial(list.append, buf)", "s.args[0]"),
    "keyword of a partial": (
        "import functools\ns = functools.partial(print, b=buf)",
        "s.keywords['b']",
    ),
    "bound method": (
        "class S:\n    def __init__(self, data): self.data = data\n"
        "    def own(self): return self.data\ns = S(buf).own",
        "s()",
    ),
    "bound method of a built-in": ("s = buf.append", "s.__self__"),
    "bound slot of a built-in": ("s = buf.__len__", "s.__self__"),
    "own list": ("class S(list): pass\ns = S([buf])", "s[0]"),
    "own dict": ("class S(dict): pass\ns = S(a=buf)", "s['a']"),
    "own tuple": ("class S(tuple): pass\ns = S([buf])", "s[0]"),
    "counter": ("import collections\ns = collections.Counter()\ns['a'] = buf", "s['a']"),
    "queue": ("import collections\ns = collections.deque([buf])", "s[0]"),
    "exception": ("s = ValueError('why', buf)", "s.args[1]"),
    "mapping proxy": ("import types\nbuf = [1]\ns = types.MappingProxyType({'a': buf})", "s['a']"),
    "class": ("class S:\n    data = buf\ns = S", "s.data"),
    "instance of a class": ("class S:\n    data = buf\ns = S()", "s.data"),
    "base class": (
        "class R:\n    data = {'a': [buf]}\nclass S(R): pass\ns = S()",
        "s.data['a'][0]",
    ),
}
# What is shared is no list: the cell uses the one, and the other shows it.
OTHER_HOLDERS = [
    (
        "class L(list): pass\nbuf = L()\nappend = buf.append",
        "append(1)\nn = len(buf)",
        "n, buf, append.__self__ is buf",
    ),
    ("class K: pass\nobj = K()\nd = {obj: 1}", "obj.x = 5\nd[obj] += 1", "d[obj], [*d][0].x"),
    ("class K: pass\nobj = K()\nd = {(1, obj): 1}", "d[1, obj] += 1\nobj.x = 2", "d[1, obj]"),
    (
        "class K: pass\nclass S(set): pass\nobj = K()\nd = S([obj])",
        "obj.x = 5\nfound = obj in d",
        "found, obj in d, [*d][0].x",
    ),
    (
        "import types\nd = {'a': 1}\ns = types.MappingProxyType(d)",
        "d['b'] = 2\nn = len(s)",
        "n, len(s), d",
    ),
    (
        "d = {'a': 1}\nk, v, i = d.keys(), d.values(), d.items()",
        "d['b'] = 2\nn = [*k, *v, *i]",
        "n, [*k, *v, *i], d, type(k), type(v), type(i)",
    ),
    (
        "from collections import OrderedDict\nd = OrderedDict(a=1)\nk = d.keys()",
        "d['b'] = 2\nn = [*k]",
        "n, [*k], d, type(k)",
    ),
    (
        "class S:\n    made = []\n    def __init__(self): self.made.append(1)\n"
        "made = S.made\na, b = S(), S()",
        "S()\na.made.append(2)\nn = len(made), b.made is made",
        "n, made, a.made is b.made is S.made is made",
    ),
]


@pytest.mark.parametrize(
    ("setup", "cell", "shown"),
    [
        (ARRAYS, "A[0] = 5\nB", "view[0], B['a'] is A, holder[0] is A, holder[1] is B"),
        (LISTS, "A.append(3)\nB['k'] = 1", "A, B, B['a'] is A, holder[0] is A, holder[1] is B"),
        (LISTS, "B['n'].append(A)\nC = [A, B]", "B, C[0] is A, C[1] is B, B['n'][1] is A"),
        (LISTS, "A.append(B)\nB['k'] = 1", "A[1] is B, holder[0] is A, holder[1] is B"),
        (LISTS, "A = [9]\nB['a'] = A", "A, B['a'] is A, holder[0], holder[1] is B"),
        (LISTS, "B['s'] = {3}\nA.append(2)", "A, B, B['a'] is A"),
        *OTHER_HOLDERS,
    ],
)
def test_change_is_seen_by_all_that_hold_it(
    notebook: Notebook, host: str, setup: str, cell: str, shown: str
) -> None:
    check_same(notebook, host, setup, cell, shown)


@pytest.mark.parametrize(("setup", "way"), HOLDERS.values(), ids=HOLDERS)
@pytest.mark.parametrize(
    "change", ["WAY.append(2)\nn = len(buf), s", "buf.append(2)\nn = len(WAY), s"]
)
def test_change_is_seen_through_every_holder(
    notebook: Notebook, host: str, setup: str, way: str, change: str
) -> None:
    setup = f"buf = [1]\n{setup}"
    check_same(notebook, host, setup, change.replace("WAY", way), f"n[0], buf, {way} is buf")


def check_same(notebook: Notebook, host: str, setup: str, cell: str, shown: str) -> None:
    """Compare what a cell leaves here and there."""
    seen = []
    for head in ("", f"%%remote {host}\n"):
        notebook.check(setup)
        notebook.check(head + cell)
        notebook.check(f"seen = repr(({shown}))")
        seen.append(notebook.names["seen"])
    assert seen[1] == seen[0]

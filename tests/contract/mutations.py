"""Writes cells that change what a notebook holds, and describes all that it holds afterwards."""

from __future__ import annotations

import re
import types
from collections import deque
from random import Random
from typing import Any

import numpy as np
import pandas as pd

# Separate objects, then the same with objects that have several holders.
SETUP = """\
import numpy as np
import pandas as pd
from collections import deque
from contextlib import nullcontext
class Box:
    count = 0
    def __init__(self):
        self.items, self.map = [1], {"a": 1}
    def add(self, value):
        self.items.append(value)
        Box.count += 1
def make_ticker():
    ticks = 0
    def tick():
        nonlocal ticks
        ticks += 1
        return ticks
    return tick
def push(value):
    l.append(value)
def bump():
    global n
    n += 1
def change(value):
    value["a"] = len(value)
l, m, d, s, n = [1, 2], [[1], [2]], {"a": [1], "b": 2}, {1, 2}, 0
box, arr, q, ba, tick = Box(), np.arange(4), deque([1]), bytearray(b"ab"), make_ticker()
df = pd.DataFrame({0: [1, 2, 3], 1: [1.5, 2.5, 3.5]})
"""
SHARED = """\
alias = l
d["l"] = l
m.append(d)
box.map = d
box.q = q
other = box
pair = (arr, df)
"""
NAMES = ("l", "m", "d", "s", "n", "box", "arr", "q", "ba", "df", "push", "bump", "tick", "Box")
STATEMENTS = """\
L.append(V)
L += [V]
L[N] = V
del L[N]
L.reverse()
L[:] = L[N:]
L.extend(range(N))
L = [V]
D["K"] = V
del D["K"]
D.update(K=V)
D.setdefault("K", []).append(N)
D = {"K": V}
change(D)
s.add(N)
s |= {N, 7}
s = s - {N}
q.append(V)
q.rotate(N)
ba += b"x"
ba[0] = N
arr[N] = 7
arr += N
arr = arr * 2
np.add(arr, N, out=arr)
df[N] = N
df.loc[N, 0] = N
df = df[df[0] > N]
df.iloc[0, 0] += 1
box.K = V
del box.K
box.add(V)
box.items = L
box.map = D
box = Box()
Box.count += N
push(V)
bump()
made = tick()
made = L
made.append(N)
made = [D, V]
l, made = m, l
for made in range(N): L.append(made)
with nullcontext(L) as made: made.append(N)
if N > 2: del made
n += N
[made := V for _ in range(N)]
exec("n = n + N")
globals()["late"] = V
l.append(lambda: N)
""".splitlines()
LISTS = ("l", "m", "m[0]", 'd["a"]', "box.items")
DICTS = ("d", "box.map", "m[-1]")
VALUES = ("N", "[N]", "'K'", "l", "d", "(m, N)", "arr[:2].copy()", "{'K': N}", "box", "None")


def write_cell(random: Random, length: int) -> str:
    """Write a cell of statements, each of which may fail without ending it."""
    lines = []
    for _ in range(length):
        text = random.choice(STATEMENTS)
        for letter, choices in (("V", VALUES), ("L", LISTS), ("D", DICTS)):
            text = re.sub(rf"\b{letter}\b", random.choice(choices), text)
        text = re.sub(r"\bN\b", str(random.randrange(4)), text)
        text = re.sub(r"\bK\b", random.choice("abc"), text)
        lines.append(f"try:\n    {text}\nexcept Exception as error:\n    print(type(error))")
    return "\n".join(lines)


class Describer:
    """Spells a namespace with every object numbered, so that sharing is seen too."""

    def __init__(self, *, sees_sharing: bool) -> None:
        self._sees_sharing = sees_sharing
        self._numbers: dict[int, int] = {}
        self._around: list[int] = []

    def describe(self, value: Any) -> str:
        """Spell one value; an object met before is its number."""
        if isinstance(value, (int, float, str, bytes, types.NoneType, types.ModuleType)):
            return repr(value)
        known = self._numbers.get(id(value)) if self._sees_sharing else None
        if known is not None and not isinstance(value, tuple):
            return f"#{known}"
        if id(value) in self._around:
            return f"up {len(self._around) - self._around.index(id(value))}"
        self._numbers[id(value)] = len(self._numbers)
        self._around.append(id(value))
        found = f"{type(value).__name__} {self._content(value)}"
        self._around.pop()
        return found

    def _content(self, value: Any) -> str:
        if isinstance(value, (list, tuple, deque)):
            return str([self.describe(each) for each in value])
        if isinstance(value, dict):
            return str([f"{key}: {self.describe(each)}" for key, each in value.items()])
        if isinstance(value, (set, bytearray)):
            return repr(sorted(value))
        if isinstance(value, np.ndarray):
            return f"{value.dtype} {value.tolist()}"
        if isinstance(value, pd.DataFrame):
            return f"{value.to_dict()} {list(value.dtypes)}"
        if isinstance(value, types.FunctionType):
            closure = [cell.cell_contents for cell in value.__closure__ or ()]
            return f"{value.__qualname__} {[self.describe(each) for each in closure]}"
        if isinstance(value, type):
            data = {k: v for k, v in vars(value).items() if k[0] != "_" and not callable(v)}
            return f"{value.__qualname__} {data}"
        return self.describe(vars(value))
